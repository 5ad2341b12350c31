//! From a nest to Cranelift's IR: loops, reductions, named values and memory accesses.
//!
//! A value of 32 bits or less is an `i32`, extended by its type as a load gives it; a truth value is an `i8`.
//! A block of registers is a stack slot.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Function, InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, Type, Value, types,
};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use ir::loops::{Access, Atom, BufferId, Expr, Index, LocalId, Loop, Nest, Reduce, Stmt, VarId};
use ir::ty::Ty;

use crate::prims;

/// Fills `function`, whose only parameter is the address of the buffers' addresses, with `body`: that of the nest or of
/// one of its constants.
pub fn emit(
    nest: &Nest,
    body: &[Stmt],
    function: &mut Function,
    scratch: &mut FunctionBuilderContext,
    config: TargetFrontendConfig,
) {
    let mut builder = FunctionBuilder::new(function, scratch);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let table = builder.block_params(entry)[0];
    let bases = (0..nest.buffers.len())
        .map(|idx| builder.ins().load(types::I64, flags(), table, 8 * idx as i32))
        .collect();
    let vars = (0..=nest.vars.len()).map(|_| builder.declare_var(types::I64)).collect();
    let places = nest.locals.iter().map(|local| Place::new(&mut builder, local)).collect();
    let extents = vec![1; nest.vars.len() + 1];
    let mut emitter = Emitter { nest, builder, bases, vars, extents, places };
    emitter.stmts(body);
    emitter.builder.ins().return_(&[]);
    emitter.builder.finalize(config);
}

/// The type of the Cranelift value that holds a value of this type.
pub fn value_type(ty: Ty) -> Type {
    match ty {
        Ty::I1 => types::I8,
        Ty::I64 => types::I64,
        _ => types::I32,
    }
}

/// Where a named value is.
enum Place {
    Variable(Variable),
    Block(StackSlot),
}

struct Emitter<'a> {
    nest: &'a Nest,
    builder: FunctionBuilder<'a>,
    /// The address of each buffer.
    bases: Vec<Value>,
    /// Each loop variable, as an `i64`; the last is the position of a lookup.
    vars: Vec<Variable>,
    /// How many values each variable has, from 0 on.
    extents: Vec<u32>,
    places: Vec<Place>,
}

impl Place {
    fn new(builder: &mut FunctionBuilder<'_>, local: &ir::loops::Local) -> Self {
        let ty = value_type(local.ty);
        if local.shape.is_empty() {
            return Place::Variable(builder.declare_var(ty));
        }
        let size = local.shape.iter().product::<u32>() * ty.bytes();
        Place::Block(builder.create_sized_stack_slot(StackSlotData::new(
            StackSlotKind::ExplicitSlot,
            size,
            3,
        )))
    }
}

impl Emitter<'_> {
    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::For(l, body) => self.loops(std::slice::from_ref(l), body),
                Stmt::Reduce(reduce) => self.reduce(reduce),
                Stmt::Let(local, value) => self.set(*local, &[], value),
                Stmt::Set(local, index, value) => self.set(*local, index, value),
                Stmt::Store(access, value) => self.store(access, value),
            }
        }
    }

    fn reduce(&mut self, reduce: &Reduce) {
        self.stmts(&reduce.init);
        self.loops(&reduce.loops, &reduce.update);
        self.stmts(&reduce.finish);
    }

    /// `body` for every iteration of `loops`.
    fn loops(&mut self, loops: &[Loop], body: &[Stmt]) {
        let Some((Loop { var, extent, .. }, inner)) = loops.split_first() else { return self.stmts(body) };
        if *extent == 0 {
            return;
        }
        self.extents[var.idx()] = *extent;
        let counter = self.vars[var.idx()];
        let (head, done) = (self.builder.create_block(), self.builder.create_block());
        let zero = self.int(types::I64, 0);
        self.builder.def_var(counter, zero);
        self.builder.ins().jump(head, &[]);
        self.builder.switch_to_block(head);
        self.loops(inner, body);
        let current = self.builder.use_var(counter);
        let next = self.builder.ins().iadd_imm_s(current, 1);
        self.builder.def_var(counter, next);
        let again = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, next, i64::from(*extent));
        self.builder.ins().brif(again, head, &[], done, &[]);
        self.builder.seal_block(head);
        self.builder.seal_block(done);
        self.builder.switch_to_block(done);
    }

    fn set(&mut self, local: LocalId, index: &[Index], value: &Expr) {
        let value = self.expr(value);
        match self.places[local.idx()] {
            Place::Variable(variable) => self.builder.def_var(variable, value),
            Place::Block(slot) => {
                let address = self.register_address(local, slot, index);
                self.builder.ins().store(flags(), value, address, 0);
            }
        }
    }

    /// The value of an expression.
    fn expr(&mut self, expr: &Expr) -> Value {
        match expr {
            Expr::Int(value, ty) => self.int(value_type(*ty), *value),
            Expr::Index(index) => {
                let value = self.index(index);
                self.builder.ins().ireduce(types::I32, value)
            }
            Expr::Local(local, index) => self.local(*local, index),
            Expr::Load(access) => self.load(access),
            Expr::Lookup(buffer, at) => self.lookup(*buffer, at),
            Expr::Op { prim, args, imm } => {
                let ty = self.nest.ty(&args[0]);
                let args: Vec<Value> = args.iter().map(|arg| self.expr(arg)).collect();
                prims::emit(&mut self.builder, *prim, ty, &args, imm)
            }
        }
    }

    fn local(&mut self, local: LocalId, index: &[Index]) -> Value {
        match self.places[local.idx()] {
            Place::Variable(variable) => self.builder.use_var(variable),
            Place::Block(slot) => {
                let address = self.register_address(local, slot, index);
                let ty = value_type(self.nest.locals[local.idx()].ty);
                self.builder.ins().load(ty, flags(), address, 0)
            }
        }
    }

    /// The address of one register of a block.
    fn register_address(&mut self, local: LocalId, slot: StackSlot, index: &[Index]) -> Value {
        let local = &self.nest.locals[local.idx()];
        let position = index
            .iter()
            .zip(&local.shape)
            .fold(Index::constant(0), |position, (at, extent)| position.scale(i64::from(*extent)).add(at));
        let offset = self.index(&position.scale(i64::from(value_type(local.ty).bytes())));
        let base = self.builder.ins().stack_addr(types::I64, slot, 0);
        self.builder.ins().iadd(base, offset)
    }

    fn load(&mut self, access: &Access) -> Value {
        let Some(border) = access.border else {
            let address = self.address(access);
            return self.read(access.ty, address);
        };
        let border = self.int(value_type(access.ty), border);
        let Some(inside) = self.is_inside(access) else {
            let address = self.address(access);
            return self.read(access.ty, address);
        };
        // Outside, the first element is read and thrown away.
        let (base, zero) = (self.bases[access.buffer.idx()], self.int(types::I64, 0));
        let offset = self.offset(access);
        let offset = self.builder.ins().select(inside, offset, zero);
        let address = self.builder.ins().iadd(base, offset);
        let loaded = self.read(access.ty, address);
        self.builder.ins().select(inside, loaded, border)
    }

    /// Whether the access is inside of the logical shape; `None` where it always is.
    fn is_inside(&mut self, access: &Access) -> Option<Value> {
        let nest = self.nest;
        let shape = &nest.buffers[access.buffer.idx()].shape;
        let mut inside = None;
        for (index, &extent) in access.index.iter().zip(shape) {
            let (low, high) = self.range(index);
            if low >= 0 && high < i64::from(extent) {
                continue;
            }
            let value = self.index(index);
            let here = self.builder.ins().icmp_imm_s(IntCC::UnsignedLessThan, value, i64::from(extent));
            inside = Some(match inside {
                Some(before) => self.builder.ins().band(before, here),
                None => here,
            });
        }
        inside
    }

    fn lookup(&mut self, buffer: BufferId, at: &Expr) -> Value {
        let nest = self.nest;
        let buffer_data = &nest.buffers[buffer.idx()];
        let at = self.expr(at);
        let at = self.builder.ins().sextend(types::I64, at);
        // The position depends on data: nothing but this keeps a wrong one within the buffer.
        let extent = buffer_data.shape.first().map_or(1, |&extent| extent.max(1));
        let last = self.int(types::I64, i64::from(extent) - 1);
        let at = self.builder.ins().umin(at, last);
        let var = VarId::new(nest.vars.len());
        self.extents[var.idx()] = extent;
        self.builder.def_var(self.vars[var.idx()], at);
        let position = buffer_data.map.position(&[Index::var(var)]);
        let offset = self.index(&position.scale(buffer_data.elem.bytes() as i64));
        let address = self.builder.ins().iadd(self.bases[buffer.idx()], offset);
        self.read(buffer_data.elem, address)
    }

    fn store(&mut self, access: &Access, value: &Expr) {
        let wide = self.nest.ty(value);
        let value = self.expr(value);
        let address = self.address(access);
        let ins = self.builder.ins();
        match (access.ty.bytes(), wide) {
            (1, Ty::I1) => ins.store(flags(), value, address, 0),
            (1, _) => ins.istore8(flags(), value, address, 0),
            (2, _) => ins.istore16(flags(), value, address, 0),
            (4, Ty::I64) => {
                let low = ins.ireduce(types::I32, value);
                self.builder.ins().store(flags(), low, address, 0)
            }
            _ => ins.store(flags(), value, address, 0),
        };
    }

    /// Reads memory, extended by the type.
    fn read(&mut self, ty: Ty, address: Value) -> Value {
        let ins = self.builder.ins();
        match ty {
            Ty::I1 => ins.load(types::I8, flags(), address, 0),
            Ty::I8 => ins.sload8(types::I32, flags(), address, 0),
            Ty::U8 => ins.uload8(types::I32, flags(), address, 0),
            Ty::I16 => ins.sload16(types::I32, flags(), address, 0),
            Ty::U16 => ins.uload16(types::I32, flags(), address, 0),
            Ty::I64 => ins.load(types::I64, flags(), address, 0),
            Ty::I32 | Ty::F32 | Ty::I8x4 | Ty::U8x4 | Ty::I16x2 => ins.load(types::I32, flags(), address, 0),
        }
    }

    fn address(&mut self, access: &Access) -> Value {
        let offset = self.offset(access);
        self.builder.ins().iadd(self.bases[access.buffer.idx()], offset)
    }

    /// Bytes from the start of the buffer to the accessed element.
    fn offset(&mut self, access: &Access) -> Value {
        let buffer = &self.nest.buffers[access.buffer.idx()];
        let position = buffer.map.position(&access.index);
        self.index(&position.scale(buffer.elem.bytes() as i64))
    }

    /// The value of an index over the loop variables, as an `i64`.
    fn index(&mut self, index: &Index) -> Value {
        let mut sum = self.int(types::I64, index.constant);
        for (coefficient, atom) in &index.terms {
            let value = match atom {
                Atom::Var(var) => self.builder.use_var(self.vars[var.idx()]),
                Atom::Div(inner, n) => self.quotient(inner, *n).1,
                Atom::Mod(inner, n) => {
                    let (whole, quotient) = self.quotient(inner, *n);
                    let multiple = self.builder.ins().imul_imm_s(quotient, i64::from(*n));
                    self.builder.ins().isub(whole, multiple)
                }
            };
            let scaled = self.builder.ins().imul_imm_s(value, *coefficient);
            sum = self.builder.ins().iadd(sum, scaled);
        }
        sum
    }

    /// The value of an index, and its quotient by `n`, rounded down.
    fn quotient(&mut self, index: &Index, n: u32) -> (Value, Value) {
        let value = self.index(index);
        let n = i64::from(n.max(1));
        if self.range(index).0 >= 0 {
            return (value, self.builder.ins().udiv_imm_u(value, n));
        }
        // Division rounds towards zero: below zero, `(value - (n - 1)) / n` is the quotient rounded down.
        let sign = self.builder.ins().sshr_imm_u(value, 63);
        let correction = self.builder.ins().band_imm_s(sign, n - 1);
        let corrected = self.builder.ins().isub(value, correction);
        (value, self.builder.ins().sdiv_imm_s(corrected, n))
    }

    fn range(&self, index: &Index) -> (i64, i64) {
        index.range(&|var| (0, i64::from(self.extents[var.idx()]) - 1))
    }

    fn int(&mut self, ty: Type, value: i64) -> Value {
        // Immediates of narrow types are kept without their upper bits.
        let value = if ty == types::I32 { i64::from(value as u32) } else { value };
        self.builder.ins().iconst(ty, value)
    }
}

/// Accesses never trap; packed words may lie at any byte.
fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

//! Native code in executable memory, and the one place that calls it.

#![allow(unsafe_code)] // The call into JIT code is one of the three homes of `unsafe`.

use cranelift_codegen::Context;
use cranelift_codegen::ir::{AbiParam, Function, Signature, UserFuncName};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use ir::diag::Diagnostic;
use ir::loops::{Nest, Stmt};

use crate::emit;
use crate::memory::Memory;

/// The functions of some nests and of the constants that are nests.
pub struct Code {
    /// `None` only while it is dropped.
    module: Option<JITModule>,
    functions: Vec<NestFunction>,
}

/// Takes the address of an array with the address of each buffer.
struct NestFunction {
    id: FuncId,
    /// Bytes that each buffer must have.
    buffers: Vec<usize>,
}

impl Code {
    /// Compiles a function for each body: that of the nest beside it, or of one of its constants.
    pub fn new(bodies: &[(&Nest, &[Stmt])]) -> Result<Self, Diagnostic> {
        let mut module = JITModule::new(JITBuilder::with_isa(host_isa()?, default_libcall_names()));
        let mut scratch = FunctionBuilderContext::new();
        let mut functions = Vec::new();
        for (idx, (nest, body)) in bodies.iter().enumerate() {
            let id = define(&mut module, &mut scratch, idx, nest, body)?;
            let buffers = nest.buffers.iter().map(|buffer| buffer.bytes()).collect();
            functions.push(NestFunction { id, buffers });
        }
        module.finalize_definitions().map_err(|error| refused("the program", &error.to_string()))?;
        Ok(Self { module: Some(module), functions })
    }

    /// Runs a function on the given block for each buffer of its nest.
    pub fn call(&self, function: usize, memory: &mut Memory, blocks: &[usize]) {
        let NestFunction { id, buffers } = &self.functions[function];
        assert_eq!(blocks.len(), buffers.len(), "a nest is called with a block for each buffer");
        for (&block, &bytes) in blocks.iter().zip(buffers) {
            memory.expect_at_least(block, bytes).expect("a block holds its buffer");
        }
        let addresses: Vec<*mut u8> = blocks.iter().map(|&block| memory.address(block)).collect();
        let code = self.module.as_ref().expect("only `drop` takes it").get_finalized_function(*id);
        // SAFETY: the code has this signature, and lives as long as the module. It reads and writes behind these
        // addresses only: the verifier, which every nest passed, proved the indices, the assertions above the sizes.
        unsafe {
            let run = std::mem::transmute::<*const u8, extern "C" fn(*const *mut u8)>(code);
            run(addresses.as_ptr());
        }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: the addresses of functions never leave `call`, and none is running.
            unsafe { module.free_memory() };
        }
    }
}

fn host_isa() -> Result<OwnedTargetIsa, Diagnostic> {
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("enable_verifier", VERIFY),
    ] {
        flags.set(name, value).expect("these settings exist");
    }
    let isa = cranelift_native::builder().map_err(|error| refused("the host", error))?;
    isa.finish(settings::Flags::new(flags)).map_err(|error| refused("the host", &error.to_string()))
}

/// Cranelift checks our code in debug builds.
const VERIFY: &str = if cfg!(debug_assertions) { "true" } else { "false" };

/// Most registers in blocks: they lie on the stack of the calling thread.
const MAX_REGISTERS: u64 = 1 << 16;

fn define(
    module: &mut JITModule,
    scratch: &mut FunctionBuilderContext,
    idx: usize,
    nest: &Nest,
    body: &[Stmt],
) -> Result<FuncId, Diagnostic> {
    let refused = |why: String| refused(&format!("`{}`", nest.name), &why);
    let registers = nest
        .locals
        .iter()
        .map(|local| local.shape.iter().map(|&n| u64::from(n)).fold(1, u64::saturating_mul));
    if registers.fold(0, u64::saturating_add) > MAX_REGISTERS {
        return Err(refused(format!("it has more than {MAX_REGISTERS} registers")));
    }
    let pointer = module.target_config().pointer_type();
    let mut signature = Signature::new(module.target_config().default_call_conv);
    signature.params.push(AbiParam::new(pointer));
    let id = module
        .declare_function(&format!("body_{idx}"), Linkage::Local, &signature)
        .map_err(|error| refused(error.to_string()))?;
    let name = UserFuncName::user(0, id.as_u32());
    let mut context = Context::for_function(Function::with_name_signature(name, signature));
    emit::emit(nest, body, &mut context.func, scratch, module.target_config());
    module.define_function(id, &mut context).map_err(|error| refused(error.to_string()))?;
    Ok(id)
}

fn refused(what: &str, why: &str) -> Diagnostic {
    Diagnostic::new(format!("cannot compile {what} for the host: {why}"))
}

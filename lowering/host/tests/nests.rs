//! The constructs of the loops level as native code, against the same sums in Rust.

use ir::loops::{Access, Buffer, BufferId, Expr, Index, Init, Loop, Nest, Prim, Reduce, Role, Stmt, VarId};
use ir::ty::Ty;

#[test]
fn a_reduction_with_a_border_is_a_padded_convolution() {
    let mut nest = Nest::new("conv");
    let x = nest.add_buffer(Buffer::new("x", Ty::I8, &[7, 5], Role::Param));
    let y = nest.add_buffer(Buffer::new("y", Ty::I32, &[7, 5], Role::Param));
    let weights: Vec<u8> = (0..9u8).map(|w| w.wrapping_mul(57)).collect();
    let data = Role::Const(Init::Data(weights.clone().into()));
    let w = nest.add_buffer(Buffer::new("w", Ty::I8, &[3, 3], data));
    let [r, c, i, j] = ["r", "c", "i", "j"].map(|name| nest.add_var(name));
    let a = nest.add_local("a", Ty::I32, &[]);
    let at = |outer: VarId, inner: VarId| Index::var(outer).add(&Index::var(inner)).offset(-1);
    let mut tap = access(x, vec![at(r, i), at(c, j)], Ty::I8);
    tap.border = Some(-3);
    let product = op(Prim::Mul, vec![sext(Expr::Load(tap)), sext(load(w, &[i, j], Ty::I8))]);
    let reduce = Reduce {
        carried: vec![a],
        loops: vec![looped(i, 3), looped(j, 3)],
        init: vec![Stmt::Set(a, vec![], Expr::Int(100, Ty::I32))],
        update: vec![Stmt::Set(a, vec![], op(Prim::Add, vec![Expr::Local(a, vec![]), product]))],
        finish: vec![Stmt::Store(
            access(y, vec![Index::var(r), Index::var(c)], Ty::I32),
            Expr::Local(a, vec![]),
        )],
    };
    nest.body = vec![over(r, 7, vec![over(c, 5, vec![Stmt::Reduce(reduce)])])];

    let mut image: Vec<u8> = (0..35u8).map(|n| n.wrapping_mul(83)).collect();
    let pixel = |row: i32, column: i32| {
        let inside = (0..7).contains(&row) && (0..5).contains(&column);
        if inside { i32::from(image[(row * 5 + column) as usize] as i8) } else { -3 }
    };
    let mut wanted = Vec::new();
    for (row, column) in (0..35).map(|n| (n / 5, n % 5)) {
        let taps =
            (0..9).map(|t| pixel(row + t / 3 - 1, column + t % 3 - 1) * i32::from(weights[t as usize] as i8));
        wanted.extend((100 + taps.sum::<i32>()).to_le_bytes());
    }
    let mut found = vec![0; 140];
    run(&nest, &mut [&mut image.clone(), &mut found]);
    assert_eq!(found, wanted);
    image[0] = image[0].wrapping_add(1);
    run(&nest, &mut [&mut image, &mut found]);
    assert_ne!(found, wanted);
}

#[test]
fn words_of_bytes_and_blocks_of_registers_make_a_dot_product() {
    let mut nest = Nest::new("dot");
    let x = nest.add_buffer(Buffer::new("x", Ty::I8, &[16], Role::Param));
    let y = nest.add_buffer(Buffer::new("y", Ty::I16, &[2, 2], Role::Param));
    let [k, h, q] = ["k", "h", "q"].map(|name| nest.add_var(name));
    let panel = nest.add_local("panel", Ty::I16x2, &[2]);
    let sums = nest.add_local("sums", Ty::I32, &[2, 2]);
    let word = || Expr::Load(access(x, vec![Index::var(k).scale(4)], Ty::I8x4));
    let widened = |ror| Expr::Op { prim: Prim::Sxtb16, args: vec![word()], imm: vec![ror] };
    let set_panel = |n, ror| Stmt::Set(panel, vec![Index::constant(n)], widened(ror));
    let sum = vec![Index::var(h), Index::var(q)];
    let half = |var| Expr::Local(panel, vec![Index::var(var)]);
    let dot = op(Prim::Dot2, vec![Expr::Local(sums, sum.clone()), half(h), half(q)]);
    let reduce = Reduce {
        carried: vec![sums],
        loops: vec![looped(k, 4)],
        init: vec![over(
            h,
            2,
            vec![over(q, 2, vec![Stmt::Set(sums, sum.clone(), Expr::Index(Index::var(q)))])],
        )],
        update: vec![
            set_panel(0, 0),
            set_panel(1, 8),
            over(h, 2, vec![over(q, 2, vec![Stmt::Set(sums, sum.clone(), dot)])]),
        ],
        finish: vec![over(
            h,
            2,
            vec![over(q, 2, vec![Stmt::Store(access(y, sum.clone(), Ty::I16), Expr::Local(sums, sum))])],
        )],
    };
    nest.body = vec![Stmt::Reduce(reduce)];

    let mut bytes: Vec<u8> = (0..16u8).map(|n| n.wrapping_mul(201)).collect();
    let value = |n: usize| i32::from(bytes[n] as i8);
    let mut wanted = Vec::new();
    for (h, q) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let products = (0..8).map(|n| value(2 * n + h) * value(2 * n + q));
        wanted.extend(((q as i32 + products.sum::<i32>()) as i16).to_le_bytes());
    }
    let mut found = vec![0; 8];
    run(&nest, &mut [&mut bytes, &mut found]);
    assert_eq!(found, wanted);
}

#[test]
fn rings_tiles_and_quotients_below_zero_are_where_the_index_says() {
    let mut nest = Nest::new("maps");
    let y = nest.add_buffer(Buffer::new("y", Ty::I32, &[12], Role::Param));
    let mut ring = Buffer::new("ring", Ty::I32, &[12, 2], Role::Scratch);
    ring.map.dims = vec![(Index::var(VarId(1)), 2), (Index::var(VarId(0)).offset(1).modulo(5), 5)];
    let ring = nest.add_buffer(ring);
    let i = nest.add_var("i");
    let shifted = Index::var(i).offset(-7);
    let sum = shifted.div(3).scale(100).add(&shifted.modulo(3));
    let slot = || access(ring, vec![Index::var(i), Index::constant(1)], Ty::I32);
    nest.body = vec![over(
        i,
        12,
        vec![
            Stmt::Store(slot(), Expr::Index(sum)),
            Stmt::Store(access(y, vec![Index::var(i)], Ty::I32), Expr::Load(slot())),
        ],
    )];
    let mut found = vec![0; 48];
    run(&nest, &mut [&mut found]);
    let wanted: Vec<u8> = (0..12)
        .flat_map(|i: i32| ((i - 7).div_euclid(3) * 100 + (i - 7).rem_euclid(3)).to_le_bytes())
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_lookup_reads_a_table_and_stays_inside_of_it() {
    let mut nest = Nest::new("table");
    let x = nest.add_buffer(Buffer::new("x", Ty::I8, &[4], Role::Param));
    let y = nest.add_buffer(Buffer::new("y", Ty::I8, &[4], Role::Param));
    let table: Vec<u8> = (0..=255u8).rev().collect();
    let table = nest.add_buffer(Buffer::new("t", Ty::I8, &[256], Role::Const(Init::Data(table.into()))));
    let i = nest.add_var("i");
    let position = op(Prim::Add, vec![sext(load(x, &[i], Ty::I8)), Expr::Int(128, Ty::I32)]);
    let value = Expr::Lookup(table, Box::new(position));
    nest.body = vec![over(i, 4, vec![Stmt::Store(access(y, vec![Index::var(i)], Ty::I8), value)])];
    let mut found = vec![0; 4];
    run(&nest, &mut [&mut [0x80, 0xff, 0, 0x7f], &mut found]);
    assert_eq!(found, [255, 128, 127, 0]);
}

#[test]
fn wrong_sizes_are_refused() {
    let mut nest = Nest::new("copy");
    nest.add_buffer(Buffer::new("x", Ty::I8, &[4], Role::Param));
    let mut compiled = tinyc_host::compile_nest(&nest).unwrap();
    let error = compiled.run(&mut [&mut [0; 3]]).unwrap_err();
    assert_eq!(error.message, "a parameter has 3 bytes, its buffer has 4");
    let error = compiled.run(&mut []).unwrap_err();
    assert_eq!(error.message, "found 0 parameters, wanted 1");
}

fn run(nest: &Nest, params: &mut [&mut [u8]]) {
    tinyc_host::compile_nest(nest).unwrap().run(params).unwrap();
}

fn access(buffer: BufferId, index: Vec<Index>, ty: Ty) -> Access {
    Access { buffer, index, ty, border: None }
}

fn load(buffer: BufferId, vars: &[VarId], ty: Ty) -> Expr {
    Expr::Load(access(buffer, vars.iter().map(|&var| Index::var(var)).collect(), ty))
}

fn op(prim: Prim, args: Vec<Expr>) -> Expr {
    Expr::Op { prim, args, imm: Vec::new() }
}

fn sext(value: Expr) -> Expr {
    op(Prim::Sext, vec![value])
}

fn looped(var: VarId, extent: u32) -> Loop {
    Loop { var, extent, unroll: false }
}

fn over(var: VarId, extent: u32, body: Vec<Stmt>) -> Stmt {
    Stmt::For(looped(var, extent), body)
}

use ir::loops::interp;

use super::*;

/// The transform of windows of six for four results: the numbers of the literature.
const WINDOW: [[i64; 6]; 6] = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
];

/// The number of additions in an expression; a shift is part of what uses it, and so is a product.
fn operations(expr: &Expr) -> usize {
    let Expr::Op { prim, args, .. } = expr else { return 0 };
    let own = usize::from(matches!(prim, Prim::Add | Prim::Sub));
    own + args.iter().map(operations).sum::<usize>()
}

/// Runs a nest that stores what the basis makes of bytes, with or without sharing.
fn results(basis: &Basis, shared: bool, numbers: &[i8]) -> (Vec<i64>, usize) {
    let mut nest = Nest::new("f");
    let width = numbers.len() as u32;
    let x = nest.add_buffer(Buffer::new("x", Ty::I8, &[width], Role::Param));
    let y = nest.add_buffer(Buffer::new("y", Ty::I32, &[basis.rows().len() as u32], Role::Param));
    let access =
        |buffer, at: usize, ty| Access { buffer, index: vec![Index::constant(at as i64)], ty, border: None };
    let load = |at: usize| op(Prim::Sext, vec![Expr::Load(access(x, at, Ty::I8))]);
    let operands: Vec<Expr> = (0..numbers.len()).map(load).collect();
    let (lets, values) =
        if shared { basis.lets(&mut nest, "t", &operands) } else { (Vec::new(), basis.exprs(&operands)) };
    let mut count = values.iter().map(operations).sum::<usize>();
    for stmt in &lets {
        let Stmt::Let(_, value) = stmt else { panic!("what is shared gets a name") };
        count += operations(value);
    }
    nest.body = lets;
    let stores = values.into_iter().enumerate().map(|(at, v)| Stmt::Store(access(y, at, Ty::I32), v));
    nest.body.extend(stores);
    assert_eq!(ir::loops::verify::verify(&nest), []);
    let mut input: Vec<u8> = numbers.iter().map(|n| *n as u8).collect();
    let mut output = vec![0; 4 * basis.rows().len()];
    interp::run(&nest, &mut [&mut input, &mut output]).unwrap();
    (output.chunks(4).map(|w| i64::from(i32::from_le_bytes(w.try_into().unwrap()))).collect(), count)
}

#[test]
fn combinations_are_those_of_the_matrix() {
    let pairs = Basis::of(&[[256, 1], [0, 1]]);
    let window = Basis::of(&WINDOW);
    let odd = Basis::of(&[[0, 0, 0], [-1, -2, -4], [24, 1, -7], [3, 0, 0], [0, -576, 0], [-32768, 0, 0]]);
    for (basis, numbers) in
        [(&pairs, &[-128i8, 127][..]), (&window, &[-128, 127, 3, -4, 55, -128]), (&odd, &[-128, 127, 99])]
    {
        let wide: Vec<i64> = numbers.iter().map(|n| i64::from(*n)).collect();
        for shared in [false, true] {
            assert_eq!(results(basis, shared, numbers).0, basis.apply(&wide), "{basis:?}");
        }
    }
}

#[test]
fn what_rows_share_is_computed_once() {
    // Twelve additions are what the best hand-written transforms take.
    assert_eq!(results(&Basis::of(&WINDOW), true, &[1, 2, 3, 4, 5, 6]).1, 12);
    assert!(results(&Basis::of(&WINDOW), false, &[1, 2, 3, 4, 5, 6]).1 > 12);
    let results_of_four =
        Basis::of(&[[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 24]]);
    assert_eq!(results(&results_of_four, true, &[1, 2, 3, 4, 5, 6]).1, 10);
}

#[test]
fn inverses_give_each_value_times_its_scale() {
    let pairs = Basis::of(&[[256, 1], [0, 1]]).inverse().unwrap();
    assert_eq!((pairs.basis.rows(), &pairs.scales[..]), (&[vec![1, -1], vec![0, 1]][..], &[256, 1][..]));
    for basis in [Basis::of(&WINDOW), Basis::of(&[[0, 2, 1], [-3, 1, 5], [7, 7, -2]])] {
        let Inverse { basis: back, scales } = basis.inverse().unwrap();
        for at in 0..basis.width() {
            let unit: Vec<i64> = (0..basis.width()).map(|n| i64::from(n == at)).collect();
            let found = back.apply(&basis.apply(&unit));
            let wanted: Vec<i64> = unit.iter().zip(&scales).map(|(n, scale)| n * scale).collect();
            assert_eq!(found, wanted, "{basis:?}");
            assert!(scales.iter().all(|scale| *scale > 0));
        }
    }
    assert_eq!(Basis::of(&[[1, 2], [2, 4]]).inverse(), None, "rows that depend on each other");
    assert_eq!(Basis::of(&[[1, 2]]).inverse(), None, "fewer rows than values");
}

#[test]
fn two_dimensions_are_one_after_the_other() {
    let (a, b) = (Basis::of(&[[1, -1], [2, 3]]), Basis::of(&[[1, 0, 4]]));
    let both = a.kronecker(&b).unwrap();
    assert_eq!(both.rows(), [vec![1, 0, 4, -1, 0, -4], vec![2, 0, 8, 3, 0, 12]]);
}

#[test]
fn ranges_are_reached() {
    let byte = Interval { low: -128, high: 127 };
    let ranges = Basis::of(&[[256, 1], [0, -1]]).ranges(&[byte, byte]);
    assert_eq!(ranges, [Interval { low: -32896, high: 32639 }, Interval { low: -127, high: 128 }]);
}

/// `w` in pairs of rows as a constant of this type.
fn pairs(elem: Ty, weights: [i8; 4], first: i64) -> Result<Vec<u8>, String> {
    let mut nest = Nest::new("f");
    let data = weights.map(|w| w as u8);
    let w = nest.add_buffer(Buffer::new("w", Ty::I8, &[2, 2], Role::Const(Init::Data(data.to_vec().into()))));
    let k = nest.add_var("k");
    let load = |n| {
        let index = vec![Index::constant(n), Index::var(k)];
        op(Prim::Sext, vec![Expr::Load(Access { buffer: w, index, ty: Ty::I8, border: None })])
    };
    let combined = Combined {
        name: "w_pairs",
        elem,
        loops: &[Loop { var: k, extent: 2, unroll: false }],
        operands: &[load(0), load(1)],
        bounds: &[values(&nest, w).unwrap(); 2],
        row_dim: 1,
    };
    let made = Basis::of(&[[first, 1], [0, 1]]).constant(&mut nest, combined).map_err(|e| e.to_string())?;
    assert_eq!(ir::loops::verify::verify(&nest), []);
    assert_eq!(nest.buffers[made.idx()].shape, [2, 2]);
    Ok(interp::eval_const(&nest, made).unwrap().to_vec())
}

#[test]
fn constants_are_combined_when_they_are_evaluated() {
    let bytes = pairs(Ty::I16, [-127, 3, -128, 4], 256).unwrap();
    let words: Vec<i16> = bytes.chunks(2).map(|w| i16::from_le_bytes(w.try_into().unwrap())).collect();
    assert_eq!(words, [-127 * 256 - 128, -128, 3 * 256 + 4, 4]);
}

#[test]
fn constants_that_do_not_fit_are_refused() {
    let refusal = pairs(Ty::I16, [-128, 3, -1, 4], 256).unwrap_err();
    assert!(refusal.contains("values of `w_pairs` run from -32769 to 772"), "{refusal}");
    let refusal = pairs(Ty::I16, [-128, 3, -1, 4], 1 << 32).unwrap_err();
    assert!(refusal.contains("beyond `i32`"), "{refusal}");
}

#[test]
fn lanes_hold_what_their_bits_do() {
    let polynomial = Lanes::new(&[0, 21, 42], 64).unwrap();
    let lane = |bits: u32| Interval { low: -(1 << (bits - 1)), high: (1 << (bits - 1)) - 1 };
    assert_eq!(polynomial.offsets(&[lane(21), lane(20), lane(22)]).unwrap(), [1 << 20, 1 << 19, 1 << 21]);
    let refusal = polynomial.offsets(&[lane(21), lane(22), lane(2)]).unwrap_err();
    assert!(refusal.to_string().contains("do not fit in the 21 bits of lane 1"), "{refusal}");
    assert!(polynomial.hold_signed(&[lane(21); 3]) && !polynomial.hold_signed(&[lane(22); 3]));
    let halves = Lanes::new(&[0, 16], 32).unwrap();
    assert_eq!(halves.basis().unwrap(), Basis::of(&[[1, 1 << 16]]));
    assert!(halves.offsets(&[Interval { low: -1, high: 65535 }]).is_err());
    assert!(Lanes::new(&[1, 16], 32).is_err() && Lanes::new(&[0, 16, 32], 32).is_err());
    assert!(Lanes::new(&[0, 50], 64).unwrap().basis().is_err());
}

#[test]
fn odd_matrices_are_refused() {
    assert!(Basis::new(vec![vec![1], vec![1, 2]]).is_err());
    assert!(Basis::new(vec![]).is_err() && Basis::new(vec![vec![]]).is_err());
    assert!(Basis::new(vec![vec![1 << 41]]).is_err());
    assert!(Basis::of(&[[1 << 30]]).kronecker(&Basis::of(&[[1 << 30]])).is_err());
    assert!(Basis::of(&[[1 << 30]]).scaled(&[1 << 30]).is_err());
}

//! `stage BUFFER TYPE at AXIS`: copies what a loop's body reads of a buffer into a panel first, and widens it perhaps.
//!
//! ```text
//! for p in 0..6 { for n in 0..4 { reduce a over k in 0..8 { … sext(x[p, k]) … } } }
//! => stage x i16 at p
//! scratch x_panel: i16[8]
//! for p in 0..6 {
//!   for x_0 in 0..2 {                                     // Four bytes in, two words out.
//!     v: i8x4 = x[p, 4*x_0] as i8x4
//!     x_panel[4*x_0] as i16x2 = pack_bt sxtb16(v {ror = 0}), sxtb16(v {ror = 8}) {lsl = 16}
//!     x_panel[4*x_0 + 2] as i16x2 = pack_tb sxtb16(v {ror = 8}), sxtb16(v {ror = 0}) {asr = 16}
//!   }
//!   for n in 0..4 { reduce a over k in 0..8 { … sext(x_panel[k]) … } }
//! }
//! ```
//!
//! The panel is what [`Footprint`] says, so a permuted loop reads it in order; after `permute k (0 2 1 3)` the two words are what
//! SXTB16 gives, and nothing packs. `order (0 2 1 3)` at the end of the step permutes the innermost loop inside that moves along the last
//! dimension. Without `at` the panel is filled once, before everything else.
//!
//! ```text
//! for c.o in 0..4 { for c.i in 0..4 { … for ky in 0..3 { for kx in 0..3 { … x[row + ky - 1, column + kx - 1, 4*c.o + c.i] else -7 … } } } }
//! => stage x i16 at c.o dims (2 0 1) pad 2
//! scratch x_panel: i16[7, 7, 4] map [4, 7, 8] (d2, d0, d1)
//! x_panel[0, …, …] = -7  …                                // The border: once, before everything else.
//! for c.o in 0..4 { …  for c.i in 0..4 { … x_panel[row + ky, column + kx, c.i] … } }
//! ```
//!
//! `dims` gives the dimensions of the panel, outermost in storage first: here planes of four channels. `pad 2` makes the rows of the panel a
//! multiple of two elements, so that each begins a word. What loads give outside of the buffer is written to the panel too.
//! `tiles 2` takes the innermost dimension apart in tiles of two elements, of which those of all rows follow each other: sums of several rows
//! then read one stream, whose steps do not depend on how long rows are.
//!
//! Legal where nothing in the body writes the buffer, every load reads a single element, and the panel is no larger than what the loads
//! touch one by one; what is outside must be the same in every iteration of the loops around. `i8` and `u8` may widen to `i16`, and `i8` become `u8` with 128 added. Constants
//! are refused: `pack` lays them out at compile time.

use ir::diag::Diagnostic;
use ir::loops::{Access, Buffer, BufferId, Expr, Index, Nest, Prim, Role, Stmt, VarId};
use ir::ty::Ty;

use super::edit::{Extents, fresh_name, loops, rewrite_body, stores_to};
use super::fill::{BIAS, Fill};
use super::footprint::{Footprint, Read, reads, replace_reads};
use super::permute::permute;
use super::step::{Arg, Args, StepDef};

/// A word that panels are filled by starts at a multiple of this many bytes.
const WORD_BYTES: u32 = 4;
/// Rows of a panel are not padded to more elements than this.
const MOST_PADDING: u32 = 64;

/// The step.
pub const STEP: StepDef = StepDef {
    name: "stage",
    usage: "stage BUFFER TYPE [at AXIS] [order (ORDER)] [dims (ORDER)] [pad SIZE] [tiles SIZE]",
    summary: "Copy what a loop's body reads of a buffer into a panel first",
    run: |nest, args| {
        let (buffer, ty) = (args.buffer(nest, 0)?, args.word(1)?);
        let Some(ty) = Ty::parse(ty) else { return Err(args.misuse(format!("the type `{ty}`"))) };
        let (axis, mut next) = optional_axis(nest, args, 2)?;
        let mut order = None;
        if args.get(next) == Some(&Arg::Word("order".into())) {
            order = Some(args.list(next + 1)?);
            next += 2;
        }
        let mut dims = Vec::new();
        if args.get(next) == Some(&Arg::Word("dims".into())) {
            dims = args.list(next + 1)?.to_vec();
            next += 2;
        }
        let mut pad = 1;
        if args.get(next) == Some(&Arg::Word("pad".into())) {
            pad = args.int(next + 1)?;
            next += 2;
        }
        let mut tile = None;
        if args.get(next) == Some(&Arg::Word("tiles".into())) {
            tile = Some(args.int(next + 1)?);
            next += 2;
        }
        args.at_most(next)?;
        if let Some(order) = order {
            let walked = walked(nest, buffer, axis)?;
            permute(nest, walked, order)?;
        }
        stage(nest, buffer, axis, &Panel { dims, pad, tile, ..Panel::of(ty) }).map(|_| ())
    },
};

/// What a panel is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// The type of its elements.
    pub elem: Ty,
    /// Its dimensions, outermost in storage first; empty for their own order.
    pub dims: Vec<u32>,
    /// The extent in storage of its innermost dimension is a multiple of this.
    pub pad: u32,
    /// So many elements of its innermost dimension, then as many of the next row: tiles lie one after the other.
    pub tile: Option<u32>,
    /// Where it has a dimension for each loop that moves the loads, those that come last.
    pub patches: Option<Vec<VarId>>,
    /// The dimension of the buffer from which on what lies in a row is one dimension.
    pub rows: Option<usize>,
}

impl Panel {
    /// A dense panel in the order of its dimensions.
    pub fn of(elem: Ty) -> Self {
        Self { elem, dims: Vec::new(), pad: 1, tile: None, patches: None, rows: None }
    }
}

/// The loop named behind the word `at`, if that stands at this position, and the position of what follows.
pub(super) fn optional_axis(
    nest: &Nest,
    args: &Args,
    at: usize,
) -> Result<(Option<VarId>, usize), Diagnostic> {
    match args.get(at) == Some(&Arg::Word("at".into())) {
        true => Ok((Some(args.axis(nest, at + 1)?), at + 2)),
        false => Ok((None, at)),
    }
}

/// Lets the loads of `buffer` in the body of the loop over `axis`, or in the whole nest, read panels; gives these.
pub fn stage(
    nest: &mut Nest,
    buffer: BufferId,
    axis: Option<VarId>,
    like: &Panel,
) -> Result<Vec<BufferId>, Diagnostic> {
    let n_before = nest.buffers.len();
    let name = nest.buffers[buffer.idx()].name.clone();
    let mut borders = Vec::new();
    check_buffer(nest, buffer, like)
        .and_then(|()| {
            rewrite_body(nest, axis, |nest, body| {
                let staged = staged(nest, buffer, like, body)?;
                borders = staged.borders;
                Ok(staged.body)
            })
        })
        .map_err(|error| Diagnostic {
            message: format!("cannot stage `{name}`: {}", error.message),
            ..error
        })?;
    nest.body.splice(0..0, borders);
    Ok((n_before..nest.buffers.len()).map(BufferId::new).collect())
}

/// What becomes of a body.
struct Staged {
    /// Statements for the start of the nest.
    borders: Vec<Stmt>,
    /// Fills the panels, then reads them.
    body: Vec<Stmt>,
}

fn staged(
    nest: &mut Nest,
    buffer: BufferId,
    like: &Panel,
    mut body: Vec<Stmt>,
) -> Result<Staged, Diagnostic> {
    let reads = reads(&mut body, buffer);
    check_reads(nest, buffer, like.elem, &reads)?;
    let value = border_value(&reads)?;
    if stores_to(&body, buffer) {
        return Err(Diagnostic::new("the body writes it").help("legal where a loop only reads it"));
    }
    let mut panels = Vec::new();
    let footprints = match &like.patches {
        Some(last) => patches(&reads, last)?,
        None => Footprint::of(&reads)?,
    };
    for footprint in footprints {
        if like.patches.is_none() {
            check_size(&footprint, &reads)?;
        }
        let footprint = match like.rows {
            Some(first) => footprint.joined(&nest.buffers[buffer.idx()].shape, first),
            None => footprint,
        };
        let inside = match value {
            Some(_) => inside(nest, buffer, &footprint)?,
            None => footprint.shape.iter().map(|extent| (0, *extent)).collect(),
        };
        let order = storage_order(footprint.shape.len(), like)?;
        panels.push((panel(nest, buffer, like, &footprint, &order), footprint, inside, order));
    }
    replace_reads(&mut body, buffer, &|read| {
        let (panel, footprint, ..) = panels.iter().find(|(_, footprint, ..)| footprint.has(read))?;
        let load = Access { buffer: *panel, index: footprint.position(read), ty: like.elem, border: None };
        Some(instead(&read.expr, load))
    });
    let mut staged = Staged { borders: Vec::new(), body: Vec::new() };
    for (panel, footprint, inside, order) in panels {
        let mut fill = Fill { nest, source: buffer, panel, footprint: &footprint, order, inside };
        staged.body.extend(fill.copy()); // First, so that its loops have the plain names.
        staged.borders.extend(value.map(|value| fill.border(value)).unwrap_or_default());
    }
    staged.body.append(&mut body);
    Ok(staged)
}

/// A footprint for each way to read the buffer.
fn patches(reads: &[Read], last: &[VarId]) -> Result<Vec<Footprint>, Diagnostic> {
    let mut footprints: Vec<Footprint> = Vec::new();
    for read in reads {
        if !footprints.iter().any(|footprint| footprint.has(read)) {
            footprints.push(Footprint::patches(read, last));
        }
    }
    if footprints.iter().any(|footprint| footprint.shape.is_empty()) {
        return Err(
            Diagnostic::new("an iteration reads a single element of it").help("legal at a loop further out")
        );
    }
    Ok(footprints)
}

/// What loads give outside of the buffer; `None` where all stay inside.
fn border_value(reads: &[Read]) -> Result<Option<i64>, Diagnostic> {
    let mut values: Vec<i64> = reads.iter().filter_map(|read| read.access().border).collect();
    values.dedup();
    match values[..] {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        [first, second, ..] => {
            Err(Diagnostic::new(format!("loads disagree on its border: {first} and {second}"))
                .help("legal where all loads that may leave it give one value there"))
        }
    }
}

/// By dimension of a panel, which of its positions are inside of the buffer in every iteration of the loops around.
fn inside(nest: &Nest, buffer: BufferId, footprint: &Footprint) -> Result<Vec<(u32, u32)>, Diagnostic> {
    let extents: Extents = loops(nest).into_iter().map(|l| (l.var, l.extent)).collect();
    let source = &nest.buffers[buffer.idx()];
    footprint.inside(&source.shape, &|var| (0, i64::from(extents[&var]) - 1)).map_err(|dim| {
        let message = format!("what of it lies outside in dimension {dim} varies with the loops around");
        Diagnostic::new(message).help(format!(
            "legal further out; or peel the iterations at the border; or copy it first: `border {}`",
            source.name
        ))
    })
}

/// The dimensions of a panel, outermost in storage first.
fn storage_order(rank: usize, like: &Panel) -> Result<Vec<usize>, Diagnostic> {
    if like.dims.is_empty() {
        return Ok((0..rank).collect());
    }
    let order: Vec<usize> = like.dims.iter().map(|dim| *dim as usize).collect();
    if order.len() == rank && (0..rank).all(|dim| order.contains(&dim)) {
        return Ok(order);
    }
    let all: Vec<String> = (0..rank).map(|dim| dim.to_string()).collect();
    Err(Diagnostic::new(format!("`dims` is no order of the {rank} dimensions of the panel"))
        .help(format!("name each of {} once, outermost in storage first", all.join(" "))))
}

fn check_buffer(nest: &Nest, buffer: BufferId, like: &Panel) -> Result<(), Diagnostic> {
    let ty = like.elem;
    if !(1..=MOST_PADDING).contains(&like.pad) {
        return Err(Diagnostic::new(format!("rows of a multiple of {} elements", like.pad))
            .help(format!("legal: `pad 1` to `pad {MOST_PADDING}`")));
    }
    if let Some(tile) = like.tile
        && (tile == 0 || tile > MOST_PADDING || !(tile * ty.bytes() as u32).is_multiple_of(WORD_BYTES))
    {
        let least = WORD_BYTES / ty.bytes() as u32;
        return Err(Diagnostic::new(format!("tiles of {tile} elements"))
            .help(format!("legal: multiples of {least} up to {MOST_PADDING}, which are whole words")));
    }
    let source = &nest.buffers[buffer.idx()];
    if source.is_const() {
        return Err(Diagnostic::new("it is a constant").help(format!(
            "lay it out at compile time: `pack {}`, or keep it in registers: `hoist {0}`",
            source.name
        )));
    }
    let legal: &[Ty] = match source.elem {
        Ty::I8 => &[Ty::I8, Ty::I16, Ty::U8],
        Ty::U8 => &[Ty::U8, Ty::I16],
        _ => &[source.elem],
    };
    if !legal.contains(&ty) {
        let legal: Vec<String> = legal.iter().map(ToString::to_string).collect();
        return Err(Diagnostic::new(format!("elements of `{}` do not become `{ty}`", source.elem))
            .help(format!("legal: {}", legal.join(", "))));
    }
    Ok(())
}

fn check_reads(nest: &Nest, buffer: BufferId, ty: Ty, reads: &[Read]) -> Result<(), Diagnostic> {
    let Buffer { name, elem, .. } = &nest.buffers[buffer.idx()];
    if reads.is_empty() {
        return Err(Diagnostic::new("no load in the body reads it")
            .help("legal at a loop around loads, and without `at` for the whole nest"));
    }
    for read in reads {
        let access = read.access();
        if access.ty != *elem {
            return Err(Diagnostic::new(format!("a load reads `{}` at once, not one `{elem}`", access.ty))
                .help("stage before loads are joined to words"));
        }
        if ty != *elem && matches!(read.expr, Expr::Load(_)) {
            return Err(Diagnostic::new(format!("a load is used as `{elem}`, not extended"))
                .help(format!("keep the type: `stage {name} {elem}`")));
        }
    }
    Ok(())
}

/// Refuses a panel with more elements than the loads touch one by one: it would mostly hold what nobody reads.
fn check_size(footprint: &Footprint, reads: &[Read]) -> Result<(), Diagnostic> {
    let elements = |footprint: &Footprint| footprint.shape.iter().map(|n| u64::from(*n)).product::<u64>();
    let mut indices: Vec<&[Index]> = Vec::new();
    let mut touched = 0;
    for read in reads.iter().filter(|read| footprint.has(read)) {
        if !indices.contains(&&read.access().index[..]) {
            indices.push(&read.access().index);
            touched += Footprint::of(std::slice::from_ref(read))?.iter().map(elements).sum::<u64>();
        }
    }
    if footprint.shape.is_empty() {
        return Err(Diagnostic::new("an iteration reads a single element of it")
            .help("legal at a loop further out; or keep the element in a register: `hoist`"));
    }
    if elements(footprint) > touched {
        let message = format!(
            "a panel of {} elements would be filled, of which at most {touched} are read",
            elements(footprint)
        );
        return Err(Diagnostic::new(message).help("legal where the loads read side by side"));
    }
    Ok(())
}

/// The scratch that holds a footprint.
fn panel(
    nest: &mut Nest,
    source: BufferId,
    like: &Panel,
    footprint: &Footprint,
    order: &[usize],
) -> BufferId {
    let name = fresh_name(nest, &format!("{}_panel", nest.buffers[source.idx()].name));
    let mut panel = Buffer::new(name, like.elem, &footprint.shape, Role::Scratch);
    panel.map.dims = order.iter().map(|dim| (Index::var(VarId::new(*dim)), footprint.shape[*dim])).collect();
    if let Some((_, extent)) = panel.map.dims.last_mut() {
        *extent = extent.next_multiple_of(like.pad);
    }
    if let Some(tile) = like.tile
        && let Some((inner, extent)) = panel.map.dims.pop()
    {
        panel.map.dims.insert(0, (inner.div(tile), extent.div_ceil(tile)));
        panel.map.dims.push((inner.modulo(tile), tile));
    }
    panel.map.align = panel.map.align.max(WORD_BYTES);
    panel.values = nest.buffers[source.idx()].values;
    nest.add_buffer(panel)
}

/// A load, extended as before, from what is wider perhaps: a narrow unsigned value is a signed one in a panel of `i16`. A signed byte
/// has 128 added in a panel of `u8`.
fn instead(before: &Expr, load: Access) -> Expr {
    if load.ty == Ty::U8 && matches!(before, Expr::Op { prim: Prim::Sext, .. }) {
        let byte = Expr::Op { prim: Prim::Zext, args: vec![Expr::Load(load)], imm: Vec::new() };
        return Expr::Op { prim: Prim::Sub, args: vec![byte, Expr::Int(BIAS, Ty::I32)], imm: Vec::new() };
    }
    let prim = match before {
        Expr::Op { prim, .. } if load.ty != Ty::I16 => *prim,
        Expr::Op { .. } => Prim::Sext,
        _ => return Expr::Load(load),
    };
    Expr::Op { prim, args: vec![Expr::Load(load)], imm: Vec::new() }
}

/// The loop inside that is the innermost of those which move the loads along the last dimension that moves.
fn walked(nest: &mut Nest, buffer: BufferId, axis: Option<VarId>) -> Result<VarId, Diagnostic> {
    let mut found = Vec::new();
    rewrite_body(nest, axis, |_, mut body| {
        for read in reads(&mut body, buffer) {
            let moving = |index: &Index| {
                let mut used = Vec::new();
                index.vars(&mut used);
                read.inside.iter().rev().map(|l| l.var).find(|var| used.contains(var))
            };
            found.extend(read.access().index.iter().rev().find_map(moving));
        }
        Ok(body)
    })?;
    found.dedup();
    match found[..] {
        [var] => Ok(var),
        _ => {
            let name = &nest.buffers[buffer.idx()].name;
            let message = format!("cannot order `{name}`: {} loops inside walk along it", found.len());
            Err(Diagnostic::new(message).help("permute the loops by name first: `permute AXIS (ORDER)`"))
        }
    }
}

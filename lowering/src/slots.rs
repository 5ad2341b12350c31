//! Which tensors of the graph need memory of their own, and which share it.
//!
//! The result of a `reshape` lies where its operand lies. The exceptions are results of the whole graph whose operand is an
//! input, a constant or another result: the caller expects each input and output in a place of its own.

use ir::graph::{Def, Graph, Op, OpData, Value};
use ir::loops::{Lifetime, StorageMap, TensorSlot};

/// The tensors of a program, and for each value of the graph its memory.
pub struct Slots {
    tensors: Vec<TensorSlot>,
    /// By value: the value whose memory it lies in, often itself.
    roots: Vec<Value>,
    /// By root: its tensor; constants have none.
    slots: Vec<Option<usize>>,
    /// The position of each output that needs a copy, with its tensor.
    copies: Vec<(usize, usize)>,
}

impl Slots {
    /// The tensors of `graph`: inputs first, then results in order.
    pub fn of(graph: &Graph) -> Self {
        let n_values = graph.values.len();
        let roots = (0..n_values).map(Value::new).collect();
        let mut slots = Self { tensors: Vec::new(), roots, slots: vec![None; n_values], copies: Vec::new() };
        let claims = slots.claim_outputs(graph);
        for (position, value) in graph.inputs.iter().enumerate() {
            let tensor =
                slots.tensor(graph, *value, format!("input_{position}"), Lifetime::Input(position as u32));
            slots.slots[value.idx()] = Some(tensor);
        }
        for op in graph
            .ops
            .iter()
            .flatten()
            .filter(|op| slots.roots[op.output.idx()] == op.output)
            .collect::<Vec<_>>()
        {
            let root = op.output;
            let tensor = match claims[root.idx()] {
                Some(position) => slots.output(graph, position),
                None => slots.tensor(graph, root, format!("t{}", op.source), Lifetime::Temporary),
            };
            slots.slots[root.idx()] = Some(tensor);
        }
        for (position, value) in graph.outputs.iter().enumerate() {
            if claims[slots.root(*value).idx()] != Some(position) {
                let tensor = slots.output(graph, position);
                slots.copies.push((position, tensor));
            }
        }
        slots
    }

    /// Whether the value is another one, read with another shape.
    pub fn is_alias(&self, value: Value) -> bool {
        self.root(value) != value
    }

    /// The value whose memory this one lies in.
    pub fn root(&self, value: Value) -> Value {
        self.roots[value.idx()]
    }

    /// The tensor of a value that is not constant.
    pub fn slot(&self, value: Value) -> usize {
        self.slots[self.root(value).idx()].expect("only constants have no tensor")
    }

    /// The tensors that an operator's nest is called with: operands that are not constant, then the result.
    pub fn args(&self, op: &OpData) -> Vec<usize> {
        let operands = op.inputs.iter().filter_map(|value| self.slots[self.root(*value).idx()]);
        operands.chain([self.slot(op.output)]).collect()
    }

    /// The values that are copied to a tensor of their own after all operators.
    pub fn copies(&self, graph: &Graph) -> Vec<(Value, usize)> {
        self.copies.iter().map(|(position, tensor)| (graph.outputs[*position], *tensor)).collect()
    }

    /// The tensors of the program.
    pub fn into_tensors(self) -> Vec<TensorSlot> {
        self.tensors
    }

    /// Makes aliases of the results of `reshape`, and gives for each root the output that lies in it.
    fn claim_outputs(&mut self, graph: &Graph) -> Vec<Option<usize>> {
        let mut claims: Vec<Option<usize>> = vec![None; graph.values.len()];
        let position = |value: Value| graph.outputs.iter().position(|output| *output == value);
        for op in graph.ops.iter().flatten() {
            let wanted = position(op.output);
            if !matches!(op.op, Op::Reshape(_)) {
                claims[op.output.idx()] = wanted;
                continue;
            }
            let root = self.root(op.inputs[0]);
            let is_free = matches!(graph.values[root.idx()].def, Def::Op(_)) && claims[root.idx()].is_none();
            match wanted {
                Some(_) if !is_free => claims[op.output.idx()] = wanted,
                Some(_) => (self.roots[op.output.idx()], claims[root.idx()]) = (root, wanted),
                None => self.roots[op.output.idx()] = root,
            }
        }
        claims
    }

    fn output(&mut self, graph: &Graph, position: usize) -> usize {
        let lifetime = Lifetime::Output(position as u32);
        self.tensor(graph, graph.outputs[position], format!("output_{position}"), lifetime)
    }

    fn tensor(&mut self, graph: &Graph, value: Value, name: String, lifetime: Lifetime) -> usize {
        let ty = graph.values[value.idx()].ty.clone();
        let shape: Vec<u32> = ty.shape.iter().map(|extent| *extent as u32).collect();
        let map = StorageMap::row_major(ty.elem, &shape);
        let name = self.unique_name(name);
        self.tensors.push(TensorSlot { name, ty, map, lifetime });
        self.tensors.len() - 1
    }

    /// `name`, or `name` with the least number that no tensor has.
    fn unique_name(&self, name: String) -> String {
        let taken = |name: &str| self.tensors.iter().any(|tensor| tensor.name == name);
        if !taken(&name) {
            return name;
        }
        let mut numbered = (1u32..).map(|number| format!("{name}_{number}"));
        numbered.find(|name| !taken(name)).expect("there are finitely many tensors")
    }
}

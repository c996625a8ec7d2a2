package nn

// split divides a graph before its first dropout or layer with a parameter to train. before is
// nil if it would be only the input; after takes its output as input. The cut is at the last
// place where a single value is needed later.
func (g *Graph) split(trainable func(Param) bool) (before, after *Graph) {
	first := len(g.nodes)
	for i, n := range g.nodes {
		if n.Op == OpDropout { // a Plan ignores dropout
			first = min(first, i)
		}
		for _, p := range n.params {
			if trainable(p) {
				first = min(first, i)
			}
		}
	}
	lastRead := make([]int, len(g.nodes)) // the last node that reads each node
	lastRead[g.output] = len(g.nodes)
	for i, n := range g.nodes {
		for _, in := range n.Inputs {
			lastRead[in] = max(lastRead[in], i)
		}
	}
	cut := 0
	for i := 1; i < min(first, len(g.nodes)-1); i++ {
		single := true // of the nodes up to i, only i is read later
		for j := range i {
			single = single && lastRead[j] <= i
		}
		// Its result must be something that a Plan computes.
		if single && !g.nodes[i].Op.View() {
			cut = i
		}
	}
	if cut == 0 {
		return nil, g
	}
	before = &Graph{nodes: g.nodes[:cut+1], output: cut}
	shape := g.nodes[cut].shape
	after = &Graph{nodes: []node{{Layer: Layer{Op: OpInput, Shape: shape}, shape: shape}}, output: g.output - cut}
	for _, n := range g.nodes[cut+1:] {
		inputs := make([]int, len(n.Inputs))
		for i, in := range n.Inputs {
			inputs[i] = in - cut
		}
		n.Inputs = inputs
		after.nodes = append(after.nodes, n)
	}
	return before, after
}

// dropFinalActivation returns the graph without a final sigmoid or softmax, which belongs to the
// loss.
func (g *Graph) dropFinalActivation() *Graph {
	if last := g.nodes[g.output]; last.Op == OpSigmoid || last.Op == OpSoftmax {
		return &Graph{nodes: g.nodes[:g.output], output: last.Inputs[0]} // a graph ends with its output
	}
	return g
}

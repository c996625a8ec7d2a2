package model

import (
	"garb/nn"
	"garb/tensor"
)

// MemoryBytes estimates the memory that the model takes once it has answered this number of
// concurrent calls of Outputs, each with a batch of pictures: its weights, its file, and what the
// calls work in. It leaves out activation maps, and the file of the built-in backbone, which all
// models share.
func (c *Classifier) MemoryBytes(calls, batch int) int64 {
	run := c.plan.RunBytes(batch)
	if c.head.plan != nil {
		run += c.head.plan.RunBytes(batch)
	}
	total := c.fileBytes() + int64(calls)*run
	for _, p := range c.networks.whole.Params() {
		total += 4 * int64(tensor.Len(p.Shape))
	}
	return total
}

// fileBytes returns the size of the files that the model keeps in memory.
func (c *Classifier) fileBytes() (total int64) {
	parts := []nn.Weights{c.weights}
	if w, ok := c.weights.(nn.Overlay); ok {
		parts = []nn.Weights{w.Top}
		if w.Below != w.Top && !HasBuiltInBackbone(c.description.Architecture, c.description.BackboneDigest) {
			parts = append(parts, w.Below)
		}
	}
	for _, p := range parts {
		if f, ok := p.(*tensor.File); ok {
			total += int64(f.Size())
		}
	}
	return total
}

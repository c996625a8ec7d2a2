// Package model reads and writes garb's model files, and answers with the models in them. Package
// garb is the simple way to do so. This one is for code that looks inside a model: training,
// evaluation, reports and the service.
package model

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"garb/accept"
	"garb/nn"
	"garb/tensor"
)

// Version is garb's version.
const Version = "0.1.0"

// FormatVersion is the version of model files that this code writes and reads.
const FormatVersion = 1

// metadataKey is the key of the Description, as JSON, in the metadata of a safetensors file.
const metadataKey = "garb"

// Model is the content of a model file: a description, and the tensors of the head (see
// Head.Graph), of the backbone unless BackboneDigest is set, and of the acceptance if its method
// has any (see EncodeDetector).
type Model struct {
	Description
	Tensors tensor.Map
}

// SetGolden computes the golden logits of the model, which it needs before it is saved. backbone
// holds the weights that BackboneDigest names and Tensors leaves out; nil if there are none.
func (m *Model) SetGolden(ctx context.Context, backbone nn.Weights) error {
	var w nn.Weights = m.Tensors
	if backbone != nil {
		w = nn.Overlay{Top: m.Tensors, Below: backbone}
	}
	c, err := m.compile(w, w, Options{})
	if err != nil {
		return err
	}
	g, err := c.computeGolden(ctx, 0)
	m.Golden = []Golden{g}
	return err
}

// Save writes a model file, all or nothing, with the values stored as dtype. The tensors must
// already be rounded to dtype (see tensor.Map.As), and the golden logits computed (see SetGolden).
func (m *Model) Save(path string, dtype tensor.DType) error {
	digest, err := digestTensors(m.Tensors.Names(), m.Tensors)
	if err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	m.TensorsDigest = digest
	if err = m.validate(); err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	text, err := json.Marshal(m.Description)
	if err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	return tensor.WriteFile(path, map[string]string{metadataKey: string(text)}, m.Tensors, dtype)
}

// Store writes a model, which it opens as Open does, to another file with its values stored as
// dtype. Its golden logits become those of the rounded weights.
func Store(name, path string, dtype tensor.DType) (*Description, error) {
	c, err := Open(name, Options{})
	if err != nil {
		return nil, err
	}
	m := &Model{*c.description, tensor.Map{}}
	for _, tensorName := range c.listTensors() {
		if m.Tensors[tensorName], err = c.weights.Tensor(tensorName); err != nil {
			return nil, &Error{name, err}
		}
	}
	m.Tensors = m.Tensors.As(dtype)
	m.Classes = c.DistinctClasses()
	if err = m.SetGolden(context.Background(), c.weights); err != nil {
		return nil, &Error{name, err}
	}
	return &m.Description, m.Save(path, dtype)
}

// listTensors returns the names of the tensors that the model's file has.
func (c *Classifier) listTensors() []string {
	params := c.networks.whole.Params()
	if c.description.BackboneDigest != "" {
		params = c.networks.head.Params()
	}
	var names []string
	for _, p := range params {
		names = append(names, p.Name)
	}
	if a := c.description.Acceptance; a != nil {
		for _, name := range accept.TensorNames(a.Method) {
			names = append(names, detectorPrefix+name)
		}
	}
	return names
}

// digestTensors returns the digest of tensors: of the name, shape and values, as
// little-endian float32, of each in the given order.
func digestTensors(names []string, w nn.Weights) (string, error) {
	hash := sha256.New()
	for _, name := range names {
		t, err := w.Tensor(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %s\n", name, tensor.ShapeString(t.Shape))
		if err := binary.Write(hash, binary.LittleEndian, t.Data); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("sha256:%x", hash.Sum(nil)), nil
}

// checkTensors compares the digest of a file's tensors with the one that its description
// states. Golden logits cannot reveal a wrong weight whose feature is zero.
func (d *Description) checkTensors(f *tensor.File) error {
	digest, err := digestTensors(f.Names(), f)
	if err != nil {
		return err
	}
	if digest != d.TensorsDigest {
		return errors.New("its weights are not those that were saved: the file is damaged; copy it again")
	}
	return nil
}

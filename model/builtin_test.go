package model

import (
	"slices"
	"testing"

	"garb/tensor"
)

// TestGarmentsDigest checks that the constant is the digest of the file.
func TestGarmentsDigest(t *testing.T) {
	f, err := tensor.Decode(garmentsFile)
	if err != nil {
		t.Fatal(err)
	}
	if f.Digest() != garmentsDigest {
		t.Errorf("garments.safetensors has the digest %s; write it to garmentsDigest", f.Digest())
	}
}

func TestBuiltInNames(t *testing.T) {
	for _, name := range BuiltInNames() {
		c, err := Open(name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Name() != name || !IsModel(name) {
			t.Errorf("%s is named %s, and is a model: %v", name, c.Name(), IsModel(name))
		}
		base, err := FindBackbone(name, "")
		if reference := base.Weights; err != nil || base.Name != imageNetBackbone {
			t.Errorf("the backbone of %s is %s, %s, %v", name, base.Name, reference, err)
		} else if _, err := OpenBackbone(reference); reference != "" && err != nil {
			t.Errorf("the backbone %s of %s: %v", reference, name, err)
		}
	}
	for name, want := range map[string][]string{
		Clothing: {"dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"},
		Garments: {"blazer", "blouse", "body", "dress", "hat", "hoodie", "longsleeve", "outwear", "pants", "polo",
			"shirt", "shoes", "shorts", "skirt", "t-shirt", "top", "undershirt"},
	} {
		if c, err := Open(name, Options{}); err != nil || !slices.Equal(c.Classes(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

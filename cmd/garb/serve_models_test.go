//go:build !small

package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"garb/serve"
)

// TestServeModelRules: flags and variables become rules.
func TestServeModelRules(t *testing.T) {
	t.Setenv("GARB_VERSION_POLICY", "m=specific:1,3,n=all")
	t.Setenv("GARB_MODELS", t.TempDir())
	s, flags := newServiceFlags()
	if err := flags.Parse([]string{"--label", "m:stable=1", "--label=m:canary=3", "--canary", "m=10%",
		"--shadow=m=3:50%", "--model-control", "--models-memory=1000", "--warm-up=pictures"}); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.settings, err = readSettings(flags, os.LookupEnv); err != nil {
		t.Fatal(err)
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	want := serve.Default().Models
	want.Folder, want.Control, want.MemoryBytes, want.WarmUp = s.config.Models.Folder, true, 1000, "pictures"
	for _, add := range []error{
		want.AddPolicy("m=specific:1,3"), want.AddPolicy("n=all"), want.AddLabel("m:stable=1"),
		want.AddLabel("m:canary=3"), want.AddCanary("m=10%"), want.AddShadow("m=3:50%"),
	} {
		if add != nil {
			t.Fatal(add)
		}
	}
	if !reflect.DeepEqual(s.config.Models, want) {
		t.Errorf("%+v\nnot\n%+v", s.config.Models, want)
	}
	for _, rule := range []string{"--version-policy=newest", "--label=m=3", "--canary=m=200%", "--shadow=m"} {
		s, flags := newServiceFlags()
		if err := flags.Parse([]string{"--models=x", rule}); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(rule, "=")
		if err := s.finish(); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

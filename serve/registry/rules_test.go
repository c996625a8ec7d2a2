package registry

import (
	"reflect"
	"testing"
)

// TestRules parses rules as people write them.
func TestRules(t *testing.T) {
	for _, test := range []struct {
		add  func(*Config, string) error
		good map[string]Config
		bad  []string
	}{
		{(*Config).AddPolicy, map[string]Config{
			"all":              {Policies: map[string]Policy{"": {}}},
			"latest:2":         {Policies: map[string]Policy{"": {Latest: 2}}},
			"specific:1,3":     {Policies: map[string]Policy{"": {Specific: []int{1, 3}}}},
			"m=latest:1":       {Policies: map[string]Policy{"m": {Latest: 1}}},
			"a.b-c=specific:7": {Policies: map[string]Policy{"a.b-c": {Specific: []int{7}}}},
		}, []string{"", "latest", "latest:0", "latest:-1", "latest:x", "all:", "all:1", "specific:", "specific:1,",
			"specific:01", "newest", "m=", "m=1"}},
		{(*Config).AddLabel, map[string]Config{
			"m:stable=3": {Labels: map[string]map[string]int{"m": {"stable": 3}}},
		}, []string{"", "m=3", "m:stable", "m:stable=", "m:stable=0", "m:stable=x", "stable=3"}},
		{(*Config).AddCanary, map[string]Config{
			"m=10%":  {Canaries: map[string]float64{"m": 0.1}},
			"m=0.25": {Canaries: map[string]float64{"m": 0.25}},
			"m=100%": {Canaries: map[string]float64{"m": 1}},
		}, []string{"", "m", "m=", "m=0", "m=0%", "m=101%", "m=1.5", "m=-1%", "m=NaN", "m=x", "10%"}},
		{(*Config).AddShadow, map[string]Config{
			"m=4":     {Shadows: map[string]Shadow{"m": {4, 1}}},
			"m=4:50%": {Shadows: map[string]Shadow{"m": {4, 0.5}}},
		}, []string{"", "m", "m=", "m=0", "m=x", "m=4:", "m=4:0%", "m=4:x", "4"}},
	} {
		for text, want := range test.good {
			var got Config
			if err := test.add(&got, text); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %+v, %v", text, got, err)
			}
			if test.add(&got, text) == nil {
				t.Errorf("%q can be set twice", text)
			}
		}
		for _, text := range test.bad {
			if err := test.add(&Config{}, text); err == nil {
				t.Errorf("%q is accepted", text)
			}
		}
	}
}

// TestValidateRules has rules that cannot work.
func TestValidateRules(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"two policies":      func(c *Config) { c.Policies = map[string]Policy{"": {1, []int{1}}} },
		"negative policy":   func(c *Config) { c.Policies = map[string]Policy{"": {-1, nil}} },
		"label of a number": func(c *Config) { c.Labels = map[string]map[string]int{"m": {"3": 3}} },
		"empty label":       func(c *Config) { c.Labels = map[string]map[string]int{"m": {"": 3}} },
		"label with slash":  func(c *Config) { c.Labels = map[string]map[string]int{"m": {"a/b": 3}} },
		"version 0":         func(c *Config) { c.Labels = map[string]map[string]int{"m": {"a": 0}} },
		"canary unlabelled": func(c *Config) { c.Canaries = map[string]float64{"m": 0.1} },
		"canary's share": func(c *Config) {
			c.Labels, c.Canaries = map[string]map[string]int{"m": {"canary": 3}}, map[string]float64{"m": 2}
		},
		"shadow's share":   func(c *Config) { c.Shadows = map[string]Shadow{"m": {3, 0}} },
		"shadow's version": func(c *Config) { c.Shadows = map[string]Shadow{"m": {0, 1}} },
		"memory":           func(c *Config) { c.MemoryBytes = -1 },
	} {
		c := DefaultConfig()
		c.Folder = "models"
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzRules: whatever is parsed is valid or refused, and nothing panics.
func FuzzRules(f *testing.F) {
	for _, text := range []string{"all", "m=latest:2", "specific:1,3", "m:canary=4", "m=10%", "m=4:50%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, add := range []func(*Config, string) error{
			(*Config).AddPolicy, (*Config).AddCanary, (*Config).AddShadow, (*Config).AddLabel,
		} {
			c := DefaultConfig()
			c.Folder = "models"
			if add(&c, text) != nil {
				continue
			}
			for name := range c.Canaries {
				c.Labels = map[string]map[string]int{name: {CanaryLabel: 1}}
			}
			if err := c.Validate(); err != nil && c.Labels == nil {
				t.Errorf("%q is accepted, but %v", text, err)
			}
		}
	})
}

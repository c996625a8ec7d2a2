package serve

import (
	"slices"
	"strings"
	"testing"
)

// TestConfigBounds has the last setting that works, and the first that does not.
//
//nolint:funlen // it is a table
func TestConfigBounds(t *testing.T) {
	valid := Default()
	valid.Models.Models = []NamedModel{{Name: "m", Path: "model.safetensors"}}
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("x", 64)
	for _, test := range []struct {
		name      string
		good, bad func(c *Config)
	}{
		{"models", func(c *Config) { c.Models.Models, c.Models.Folder = nil, "models" },
			func(c *Config) { c.Models.Models = nil }},
		{"a model's name", func(c *Config) { c.Models.Models[0].Name = name },
			func(c *Config) { c.Models.Models[0].Name = name + "x" }},
		{"a name's letters", func(c *Config) { c.Models.Models[0].Name = "0.a_B-c" },
			func(c *Config) { c.Models.Models[0].Name = "a/b" }},
		{"a name's first letter", func(c *Config) { c.Models.Models[0].Name = "9" },
			func(c *Config) { c.Models.Models[0].Name = ".a" }},
		{"two models", func(c *Config) { c.Models.Models = append(c.Models.Models, NamedModel{Name: "n", Path: "m"}) },
			func(c *Config) { c.Models.Models = append(c.Models.Models, c.Models.Models[0]) }},
		{"admin address", func(c *Config) { c.Addr, c.AdminAddr = "127.0.0.1:0", "127.0.0.1:0" },
			func(c *Config) { c.AdminAddr = c.Addr }},
		{"admin address's form", func(c *Config) { c.AdminAddr = "unix:/run/s" },
			func(c *Config) { c.AdminAddr = "x" }},
		{"drain delay", func(c *Config) { c.DrainDelay = 1 }, func(c *Config) { c.DrainDelay = -1 }},
		{"interval", func(c *Config) { c.Models.Interval = 1 }, func(c *Config) { c.Models.Interval = 0 }},
		{"queue", func(c *Config) { c.Engine.Queue, c.Bodies.MaxPictures = 1, 1 },
			func(c *Config) { c.Engine.Queue = 0 }},
		{"batch", func(c *Config) { c.Engine.MaxBatch = 1 }, func(c *Config) { c.Engine.MaxBatch = 0 }},
		{"workers", func(c *Config) { c.Engine.Workers = 0 }, func(c *Config) { c.Engine.Workers = -1 }},
		{"decoders", func(c *Config) { c.Engine.Decoders = 0 }, func(c *Config) { c.Engine.Decoders = -1 }},
		{"pictures", func(c *Config) { c.Bodies.MaxPictures = 1 }, func(c *Config) { c.Bodies.MaxPictures = 0 }},
		{"connections", func(c *Config) { c.Connection.MaxConnections = 1 },
			func(c *Config) { c.Connection.MaxConnections = -1 }},
		{"pictures in a queue", func(c *Config) { c.Bodies.MaxPictures = c.Engine.Queue },
			func(c *Config) { c.Bodies.MaxPictures = c.Engine.Queue + 1 }},
		{"body", func(c *Config) { c.Bodies.MaxBytes = 1 }, func(c *Config) { c.Bodies.MaxBytes = 0 }},
		{"budget", func(c *Config) { c.Bodies.MaxBytes, c.Bodies.BudgetBytes = 10, 30 },
			func(c *Config) { c.Bodies.MaxBytes, c.Bodies.BudgetBytes = 10, 29 }},
		{"header", func(c *Config) { c.Connection.MaxHeaderBytes = 1024 },
			func(c *Config) { c.Connection.MaxHeaderBytes = 1023 }},
		{"request", func(c *Config) { c.RequestTimeout = 1 }, func(c *Config) { c.RequestTimeout = 0 }},
		{"header's time", func(c *Config) { c.Connection.HeaderTimeout = 1 },
			func(c *Config) { c.Connection.HeaderTimeout = 0 }},
		{"idle", func(c *Config) { c.Connection.IdleTimeout = 1 }, func(c *Config) { c.Connection.IdleTimeout = 0 }},
		{"grace", func(c *Config) { c.Grace = 0 }, func(c *Config) { c.Grace = -1 }},
		{"TLS", func(c *Config) { c.TLSCert, c.TLSKey = "a", "b" }, func(c *Config) { c.TLSCert = "a" }},
		{"TLS's key", func(c *Config) {}, func(c *Config) { c.TLSKey = "b" }},
		{"limits", func(c *Config) { c.Engine.Limits.MaxPixels = 1 },
			func(c *Config) { c.Engine.Limits.MaxPixels = 0 }},
	} {
		good, bad := valid, valid
		good.Models.Models, bad.Models.Models = slices.Clone(valid.Models.Models), slices.Clone(valid.Models.Models)
		test.good(&good)
		test.bad(&bad)
		if err := good.Validate(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if bad.Validate() == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
	for prefix, ok := range map[string]bool{
		"https://a.example/": true, "http://a.example/b/": true, "https://a.example:8443/": true,
		"ftp://a.example/": false, "https://a.example": false, "https:///b": false, "a.example/": false,
		"https://me@a.example/": false, "https://a.example/?q=1": false,
		"https://a.example/#f": false, "https://%zz/": false,
	} {
		c := valid
		c.URLPrefixes = []string{"https://fine.example/", prefix}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("the prefix %s: %v", prefix, err)
		}
	}
}

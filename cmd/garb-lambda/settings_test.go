package main

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"garb/picture"
	"garb/serve"
)

// TestSettings: each variable sets what it names, and nothing else.
func TestSettings(t *testing.T) {
	half := 0.5
	for line, set := range map[string]func(*configuration){
		"GARB_MODEL=a=b.model,garments": func(c *configuration) {
			c.config.Models.Models = []serve.NamedModel{{Name: "a", Path: "b.model"},
				{Name: "garments", Path: "garments"}}
		},
		"GARB_ACCEPT=0.5":        func(c *configuration) { c.accept = &half },
		"GARB_WARM_UP=pictures":  func(c *configuration) { c.config.Models.WarmUp = "pictures" },
		"GARB_API_KEY_FILE=keys": func(c *configuration) { c.config.APIKeyFile = "keys" },
		"GARB_CORS_ORIGIN=https://a.b": func(c *configuration) {
			c.config.Origin.CORSOrigins = []string{"https://a.b"}
		},
		"GARB_MAX_BODY=7":        func(c *configuration) { c.config.Bodies.MaxBytes = 7 },
		"GARB_MAX_PICTURES=7":    func(c *configuration) { c.config.Bodies.MaxPictures = 7 },
		"GARB_TRUNCATED=keep":    func(c *configuration) { c.config.Engine.Limits.KeepTruncated = true },
		"GARB_TRUNCATED=refuse":  func(*configuration) {},
		"GARB_TIMEOUT=7s":        func(c *configuration) { c.config.RequestTimeout = 7 * time.Second },
		"GARB_ALLOW_URL_PREFIX=": func(*configuration) {},
		"GARB_CPU=avx2":          func(*configuration) {},
		"GARB_HOME=/tmp":         func(*configuration) {},
		"OTHER=1":                func(*configuration) {},
		"GARB_MAX_PIXELS=7": func(c *configuration) {
			c.config.Engine.Limits.MaxPixels, c.config.Engine.Limits.MaxDecodedPixels = 7, 7
		},
		"GARB_ALLOW_URL_PREFIX=https://a.b/,https://c.d/": func(c *configuration) {
			c.config.URLPrefixes = []string{"https://a.b/", "https://c.d/"}
		},
		"GARB_ALLOW_PRIVATE_PREFIX=10.0.0.0/8": func(c *configuration) {
			c.config.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		},
	} {
		got, err := readSettings([]string{line})
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		want := &configuration{config: newConfig(smallestMemory), memory: smallestMemory}
		want.config.Models.Models = []serve.NamedModel{{Name: "clothing", Path: "clothing"}}
		set(want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestSettingsAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		"GARB_ADDR=:80":                        "it has GARB_MODEL, ",
		"GARB_MODEL=shirts":                    "must be NAME=PATH",
		"GARB_MODEL=a=b,a=c":                   "the settings: ",
		"GARB_ACCEPT=2":                        "GARB_ACCEPT: \"2\": ",
		"GARB_MAX_BODY=0":                      "positive number",
		"GARB_MAX_BODY=90000000":               "budget",
		"GARB_MAX_PICTURES=x":                  "positive number",
		"GARB_MAX_PIXELS=99999999999999999999": "positive number",
		"GARB_TRUNCATED=maybe":                 "refuse or keep",
		"GARB_TIMEOUT=7":                       "GARB_TIMEOUT",
		"GARB_TIMEOUT=-1s":                     "timeout",
		"GARB_ALLOW_URL_PREFIX=ftp://a/":       "prefix",
		"GARB_ALLOW_PRIVATE_PREFIX=10":         "10.0.0.0/8",
		"GARB_CORS_ORIGIN=a":                   "origin",
		memoryVariable + "=64":                 "at least 128",
		memoryVariable + "=a lot":              memoryVariable,
	} {
		var setting *settingError
		if c, err := readSettings([]string{line}); !errors.As(err, &setting) ||
			!strings.Contains(err.Error(), want) || c != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestSettingsAreThoseOfServe: a variable has the name of a flag of garb serve, and docs/lambda.md and --help
// list it.
func TestSettingsAreThoseOfServe(t *testing.T) {
	var flags []byte
	for _, file := range []string{"serve.go", "picturelimits.go", "acceptance.go"} {
		source, err := os.ReadFile("../garb/" + file)
		if err != nil {
			t.Fatal(err)
		}
		flags = append(flags, source...)
	}
	docs, err := os.ReadFile("../../docs/lambda.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	writeHelp(&help)
	for _, s := range settings {
		flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.name, "GARB_")), "_", "-")
		if !bytes.Contains(flags, []byte(`, "`+flag+`", `)) && !bytes.Contains(flags, []byte(`, "`+flag+`",`+"\n")) {
			t.Errorf("garb serve has no --%s", flag)
		}
		if !bytes.Contains(docs, []byte("| `"+s.name+"` |")) {
			t.Errorf("docs/lambda.md has no %s", s.name)
		}
		if !strings.Contains(help.String(), "  "+s.name+" ") {
			t.Errorf("--help has no %s", s.name)
		}
	}
}

func TestMemory(t *testing.T) {
	for _, test := range []struct {
		text    string
		cores   int
		heap    int64
		threads int
		pixels  int
		bytes   int64
	}{
		{"", 2, 88 << 20, 1, 4_194_304, 12 << 20},
		{"128", 2, 88 << 20, 1, 4_194_304, 12 << 20},
		{"512", 2, 472 << 20, 1, 37_748_736, 64 << 20},
		{"1769", 2, 1729 << 20, 1, 66_000_000, 64 << 20},
		{"3538", 2, 3498 << 20, 2, 66_000_000, 64 << 20},
		{"10240", 2, 10200 << 20, 2, 66_000_000, 64 << 20},
		{"10240", 6, 10200 << 20, 5, 66_000_000, 64 << 20},
	} {
		m, err := parseMemory(test.text)
		if err != nil {
			t.Fatal(err)
		}
		l := m.limitPictures()
		if m.limitHeap() != test.heap || m.countThreads(test.cores) != test.threads ||
			l.MaxDecodedPixels != test.pixels ||
			l.MaxBytes != test.bytes || l.MaxPixels != picture.DefaultLimits().MaxPixels {
			t.Errorf("%s MB: heap %d, %d threads, %+v", test.text, m.limitHeap(), m.countThreads(test.cores), l)
		}
		if err := newConfig(m).Validate(); err == nil || !strings.Contains(err.Error(), "model") {
			t.Errorf("%s MB: without models: %v", test.text, err)
		}
	}
}

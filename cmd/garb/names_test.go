package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"a hat\n\tand 3 × Ärmel 👕\n": "a hat\n\tand 3 × Ärmel 👕\n",
		"a\x1b[31mb\x07":             `a\x1b[31mb\a`,
		"a\rb\x00":                   `a\rb\x00`,
		"caf\xe9 \xff":               `caf\xe9 \xff`,
		"\ufffd":                     "\ufffd",
		"hat\u200b \u202eabc\u0085":  `hat\u200b \u202eabc\u0085`,
	} {
		if got := escapeLines(text); got != want {
			t.Errorf("%q is %q, not %q", text, got, want)
		}
	}
}

// TestNamesAreNotObeyed: names of files, folders, columns and classes reach the terminal only
// escaped.
func TestNamesAreNotObeyed(t *testing.T) {
	const evil = "\x1b[31mred\x07"
	data := string(readFile(t, example))
	lay := func(files map[string]string) string {
		root := t.TempDir()
		for name, text := range files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Skip("the file system does not take such names")
			}
		}
		return root
	}
	rows := "image,label,sender" + evil + "\n"
	table := map[string]string{}
	for i, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		table[name+".jpg"] = data + name
		rows += name + ".jpg," + []string{"hat", "pants"}[i%2] + "," + []string{"w", "x", "y", "z"}[i/2] + "\n"
	}
	table["images.csv"] = rows
	broken := lay(map[string]string{"t" + evil + ".csv": "image,label\n\"x\n"})
	duplicates := lay(map[string]string{"hat/" + evil + ".jpg": data, "pants/b.jpg": data})
	for _, args := range [][]string{
		{"data", "check", duplicates},
		{"data", "preview", lay(map[string]string{
			"train/hat/" + evil + ".jpg": data, "train/pants/b.jpg": data + "b", "val/hat/c.jpg": data + "c",
			"val/pants/d.jpg": data + "d",
		}), "--out", filepath.Join(t.TempDir(), "sheet.png")},
		{"data", "check", lay(map[string]string{evil + "/a.jpg": data, "pants/b.jpg": data})},
		{"data", "check", lay(map[string]string{evil + "/hat/a.jpg": data, evil + "/pants/b.jpg": data})},
		{"data", "check", lay(map[string]string{evil + ".csv": "image,label\nnone,x\n", "hat/a.jpg": data,
			"pants/b.jpg": data})},
		{"data", "check", lay(table)},
		{"data", "check", broken},
		{"train", "--data", filepath.Join(broken, "t"+evil+".csv")},
		{"data", "check", "none" + evil},
		{"--verbose", "data", "check", "none" + evil},
		{evil},
	} {
		_, out, errOut := runGarb(t, nil, args...)
		if strings.ContainsAny(out+errOut, "\x1b\x07") {
			t.Errorf("%q: %q %q", args, out, errOut)
		}
		if !strings.Contains(out+errOut, `\x1b[31mred\a`) {
			t.Errorf("%q does not show the name: %q %q", args, out, errOut)
		}
	}
}

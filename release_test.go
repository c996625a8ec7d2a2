package garb_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// release has what the tests read of .goreleaser.yaml. A list of formats has one archive for each.
type release struct {
	Builds []struct {
		ID           string
		GOOS, GOARCH []string
	}
	Archives []releaseArchive
	NFPMs    []struct {
		IDs              []string
		FileNameTemplate string `yaml:"file_name_template"`
		Formats          []string
		Contents         []struct{ Src string }
	}
	Casks    []any `yaml:"homebrew_casks"`
	Scoops   []any
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
	}
	Dockers []struct {
		Dockerfile string
		ExtraFiles []string `yaml:"extra_files"`
	} `yaml:"dockers_v2"`
}

type releaseArchive struct {
	IDs             []string
	NameTemplate    string `yaml:"name_template"`
	Formats         []string
	FormatOverrides []struct {
		GOOS    string
		Formats []string
	} `yaml:"format_overrides"`
	Files []struct{ Src string }
}

// formatsFor returns an archive's formats for a system.
func (a releaseArchive) formatsFor(system string) []string {
	for _, override := range a.FormatOverrides {
		if override.GOOS == system {
			return override.Formats
		}
	}
	return a.Formats
}

func readRelease(t *testing.T) release {
	t.Helper()
	var r release
	if err := yaml.Unmarshal(readText(t, ".goreleaser.yaml"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func readText(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fileNames returns the names of the archives and packages of a release, with ${V} as the version.
func (r release) fileNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	add := func(name, system, arch string, formats []string) {
		var text strings.Builder
		data := map[string]string{"Version": "${V}", "Os": system, "Arch": arch}
		if err := template.Must(template.New("name").Parse(name)).Execute(&text, data); err != nil {
			t.Fatal(err)
		}
		for _, format := range formats {
			names[text.String()+"."+format] = true
		}
	}
	for _, build := range r.Builds {
		for _, system := range build.GOOS {
			for _, arch := range build.GOARCH {
				for name, formats := range r.templates(build.ID, system) {
					add(name, system, arch, formats)
				}
			}
		}
	}
	return names
}

// templates returns the templates of a build's archives and packages for a system, with their formats.
func (r release) templates(build, system string) map[string][]string {
	all := map[string][]string{}
	for _, a := range r.Archives {
		if slices.Contains(a.IDs, build) {
			all[a.NameTemplate] = append(all[a.NameTemplate], a.formatsFor(system)...)
		}
	}
	for _, p := range r.NFPMs {
		if system == "linux" && slices.Contains(p.IDs, build) {
			all[p.FileNameTemplate] = append(all[p.FileNameTemplate], p.Formats...)
		}
	}
	return all
}

// TestReleaseHasFilesOfREADME: README.md installs from files that .goreleaser.yaml makes, and has a line for each
// kind of them.
func TestReleaseHasFilesOfREADME(t *testing.T) {
	r := readRelease(t)
	names := r.fileNames(t)
	_, install, _ := strings.Cut(string(readText(t, "README.md")), "\n## Install\n")
	install, _, _ = strings.Cut(install, "\n## ")
	found := map[string]bool{} // by extension
	for _, name := range regexp.MustCompile(`garb[a-z-]*_[^\s`+"`"+`)]+`).FindAllString(install, -1) {
		if name != r.Checksum.NameTemplate && !names[name] {
			t.Errorf("README.md installs %s, which a release does not contain", name)
		}
		found[name[strings.LastIndex(name, ".")+1:]] = true
	}
	for _, format := range []string{"deb", "rpm", "apk", "gz", "zip"} {
		if !found[format] {
			t.Errorf("README.md has no .%s file", format)
		}
	}
	for command, made := range map[string]int{
		"brew install --cask": len(r.Casks), "scoop install": len(r.Scoops), "docker run": len(r.Dockers),
	} {
		if made != 1 || !strings.Contains(install, command) {
			t.Errorf("README.md says %s: %v, and a release has %d", command, strings.Contains(install, command), made)
		}
	}
}

// TestReleaseFilesExist: what .goreleaser.yaml copies exists, but for what .ci/release-files makes.
func TestReleaseFilesExist(t *testing.T) {
	r := readRelease(t)
	var patterns []string
	for _, a := range r.Archives {
		for _, f := range a.Files {
			patterns = append(patterns, f.Src)
		}
	}
	for _, p := range r.NFPMs {
		for _, c := range p.Contents {
			patterns = append(patterns, c.Src)
		}
	}
	for _, d := range r.Dockers {
		patterns = append(append(patterns, d.Dockerfile), d.ExtraFiles...)
	}
	if len(patterns) < 20 {
		t.Errorf(".goreleaser.yaml copies only %q", patterns)
	}
	for _, pattern := range patterns {
		if files, err := filepath.Glob(pattern); !strings.HasPrefix(pattern, "bin/release/") && len(files) == 0 {
			t.Errorf(".goreleaser.yaml copies %s, which does not exist (%v)", pattern, err)
		}
	}
}

// TestReleaseImageFiles: the image's Dockerfile copies the files that goreleaser puts beside it, and the manifests
// in deploy/ name the image's user and port.
func TestReleaseImageFiles(t *testing.T) {
	image := readRelease(t).Dockers[0]
	text := string(readText(t, image.Dockerfile))
	var copied []string
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(text, -1) {
		copied = append(copied, strings.Fields(m[1])...)
	}
	if want := append([]string{"$TARGETPLATFORM/garb"}, image.ExtraFiles...); !slices.Equal(copied, want) {
		t.Errorf("%s copies %q, want %q", image.Dockerfile, copied, want)
	}
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(text)
	port := regexp.MustCompile(`(?m)^EXPOSE (\d+)$`).FindStringSubmatch(text)
	if user == nil || port == nil {
		t.Fatalf("%s has no numeric USER or EXPOSE", image.Dockerfile)
	}
	want := map[string]string{"runAsUser": user[1], "runAsGroup": user[2], "fsGroup": user[2], "containerPort": port[1]}
	settings := regexp.MustCompile(`(runAsUser|runAsGroup|fsGroup|name: http1?, containerPort): (\d+)`)
	for _, name := range []string{"kubernetes", "kserve", "shards", "sweep"} {
		found := settings.FindAllStringSubmatch(string(readText(t, "deploy/"+name+".yaml")), -1)
		for _, m := range found {
			key := m[1][strings.LastIndex(m[1], " ")+1:]
			if m[2] != want[key] {
				t.Errorf("deploy/%s.yaml: %s is %s, and %s in the image", name, key, m[2], want[key])
			}
		}
		if len(found) < 2 {
			t.Errorf("deploy/%s.yaml does not set the user", name)
		}
	}
}

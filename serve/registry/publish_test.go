package registry

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"garb/model"
	"garb/serve/engine"
	"garb/serve/observe"
)

// TestKillWhilePublishing: a program that copies a version is killed midway. The version before goes
// on; once the copy is complete, the new version answers.
func TestKillWhilePublishing(t *testing.T) {
	folder := t.TempDir()
	data, err := os.ReadFile("../../model/clothing.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "clothing/1/clothing.safetensors"), string(data))
	metrics, log := observe.NewMetrics(func() float64 { return 0 }), &lockedBuffer{}
	c := DefaultConfig()
	c.Folder = folder
	m, err := Open(c, engine.DefaultConfig(), func(path string) (engine.Classifier, error) {
		return model.Open(path, model.Options{Threads: 1})
	}, metrics, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	r := &testRegistry{Registry: m, t: t, folder: folder, metrics: metrics, log: log}

	half := filepath.Join(folder, "clothing", "2")
	copying := exec.Command(os.Args[0])
	copying.Env = append(os.Environ(), copyTo+"="+half)
	out, err := copying.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = copying.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 3 {
		lines.Scan()
		r.mustScan()
	}
	if err = copying.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	_ = copying.Wait() // it was killed
	r.mustScan()
	v, release, err := m.Acquire("clothing", "", "")
	if err != nil || v.Number != 1 {
		t.Fatalf("version %v answers: %v", v, err)
	}
	release()
	if got := r.metric(`garb_model_refused_total{model="clothing"}`); got == "" {
		t.Errorf("the half version was not refused: %s", log)
	}
	refused := strings.Count(log.String(), "cannot be used")
	r.mustScan()
	if got := strings.Count(log.String(), "cannot be used"); got != refused {
		t.Error("the same half was tried again")
	}
	write(t, filepath.Join(half, "clothing.safetensors"), string(data))
	r.mustScan()
	if v, release, err = m.Acquire("clothing", "", ""); err != nil || v.Number != 2 {
		t.Fatalf("version %v answers: %v", v, err)
	}
	release()
}

// TestPublishRecipe runs the commands for publishing a version in docs/operate.md as they are, with the
// folder of a run that also has its state.
func TestPublishRecipe(t *testing.T) {
	text, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(text), "**To publish a version**")
	_, recipe, _ = strings.Cut(recipe, "\n\n    ")
	recipe, _, ok := strings.Cut(recipe, "\n\n")
	if !ok || strings.Count(recipe, "\n") != 2 {
		t.Fatalf("the recipe is %q", recipe)
	}
	data, err := os.ReadFile("../../model/clothing.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	work, folder := t.TempDir(), t.TempDir()
	write(t, filepath.Join(work, "runs/mine/checkpoints/mine_01_0.500.safetensors"), "an earlier checkpoint")
	write(t, filepath.Join(work, "runs/mine/checkpoints/mine_12_0.871.safetensors"), string(data))
	write(t, filepath.Join(work, "runs/mine/state.safetensors"), "the state of the run")
	if _, err = exec.LookPath("sh"); err != nil {
		t.Skip("the recipe is for a shell:", err)
	}
	command := exec.Command("sh", "-ec", strings.ReplaceAll(recipe, "/srv/models", folder))
	command.Dir = work
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := DefaultConfig()
	c.Folder = folder
	m, err := Open(c, engine.DefaultConfig(), func(path string) (engine.Classifier, error) {
		return model.Open(path, model.Options{Threads: 1})
	}, observe.NewMetrics(func() float64 { return 0 }), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v, release, err := m.Acquire("clothing", "", "")
	if err != nil || v.Number != 3 {
		t.Fatalf("version %+v answers: %v", v, err)
	}
	release()
}

// copyTo is the variable that makes the test program copy a model into a folder, as slowly as a
// network would.
const copyTo = "GARB_TEST_COPY_TO"

func copySlowly(folder string) {
	from, err := os.Open("../../model/clothing.safetensors")
	if err != nil {
		panic(err)
	}
	if err = os.MkdirAll(folder, 0o755); err != nil {
		panic(err)
	}
	to, err := os.Create(filepath.Join(folder, "clothing.safetensors"))
	if err != nil {
		panic(err)
	}
	for {
		if _, err = io.CopyN(to, from, 1000); err != nil {
			return
		}
		fmt.Println("copied")
		time.Sleep(20 * time.Millisecond)
	}
}

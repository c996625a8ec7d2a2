package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"garb/model"
)

// Opener opens the model at a path, and checks it: its file, and its golden logits.
type Opener func(path string) (Classifier, error)

// version is a model that answers under a name.
type version struct {
	name   string
	number int // 1 if it has no folder of versions
	path   string
	Classifier
	*engine
	loaded time.Time
	// signature changes when the files do.
	signature string
}

// models are what a server answers with: of each name one version at a time.
type models struct {
	config  Config
	open    Opener
	metrics *metrics
	log     *slog.Logger

	mu      sync.RWMutex
	first   string // the name that answers when none is asked for
	current map[string]*version

	// Of the watch: the signature of each version that was refused, by its folder.
	refused  map[string]string
	retiring sync.WaitGroup
}

// openModels opens all that the configuration names. Each name has a version then.
func openModels(c Config, open Opener, m *metrics, log *slog.Logger) (*models, error) {
	all := &models{config: c, open: open, metrics: m, log: log, current: map[string]*version{},
		refused: map[string]string{}}
	for _, named := range c.Models {
		v, err := all.load(named.Name, 1, named.Path, "")
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		all.put(v)
	}
	if c.ModelsFolder != "" {
		if err := all.scan(); err != nil {
			return nil, errors.Join(err, all.close())
		}
		if len(all.current) == len(c.Models) {
			return nil,
				errors.Join(fmt.Errorf("%s has no model that can be used: it holds NAME/VERSION/ folders, each "+
					"with a model file, where VERSION is a number", c.ModelsFolder), all.close())
		}
	}
	switch {
	case len(c.Models) > 0:
		all.first = c.Models[0].Name
	default:
		all.first = slices.Min(slices.Collect(maps.Keys(all.current)))
	}
	return all, nil
}

// load opens a model and lets it answer once, so that the first request finds it warm.
func (m *models) load(name string, number int, path, signature string) (*version, error) {
	classifier, err := m.open(path)
	if err != nil {
		return nil, err
	}
	v := &version{
		name: name, number: number, path: path, Classifier: classifier, signature: signature, loaded: time.Now(),
		engine: newEngine(name, classifier, m.config, m.metrics),
	}
	input := make([]float32, classifier.Spec().ValueCount())
	classifier.Spec().Tensor(model.DrawGoldenPicture(0), input)
	if err := v.infer(&job{ctx: context.Background(), input: input}); err != nil {
		v.retire()
		return nil, fmt.Errorf("it does not answer: %w", err)
	}
	return v, nil
}

// put lets a version answer from now on. The one before ends when those who use it have
// their answers.
func (m *models) put(v *version) {
	m.mu.Lock()
	before := m.current[v.name]
	m.current[v.name] = v
	m.mu.Unlock()
	m.metrics.loaded(before, v)
	if before != nil {
		m.retiring.Go(before.retire)
	}
}

// acquire returns the version that answers for a name, "" for the first, and what to
// call when its use ends. number, if not 0, is the version that is asked for.
func (m *models) acquire(name string, number int) (v *version, release func(), err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if name == "" {
		name = m.first
	}
	v, ok := m.current[name]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("%w as %q; there are %s", errNoModel, name, strings.Join(m.names(), ", "))
	case number != 0 && number != v.number:
		return nil, nil, fmt.Errorf("%w as version %d of %s; version %d answers", errNoModel, number, name, v.number)
	}
	v.users.Add(1)
	return v, v.users.Done, nil
}

// names lists the models. The caller holds the lock.
func (m *models) names() []string { return slices.Sorted(maps.Keys(m.current)) }

// list returns the versions that answer, by name.
func (m *models) list() []*version {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.current), func(a, b *version) int { return cmp.Compare(a.name, b.name) })
}

// close ends all models once nobody uses them.
func (m *models) close() error {
	m.mu.Lock()
	for _, v := range m.current {
		m.retiring.Go(v.retire)
	}
	m.current = map[string]*version{}
	m.mu.Unlock()
	m.retiring.Wait()
	return nil
}

// watch looks for new versions until ctx ends.
func (m *models) watch(ctx context.Context) {
	tick := time.NewTicker(m.config.ModelsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := m.scan(); err != nil {
				m.log.Error("the models' folder cannot be read; what is loaded goes on answering", "error",
					err.Error())
			}
		}
	}
}

// candidate is a version's folder.
type candidate struct {
	number          int
	path, signature string
}

// scan takes over, of each name in the models' folder, the highest version that can be
// used, if it is not the one that answers. A version that cannot is refused until its
// files change, as they do while they are being copied. To a lower version it goes back
// only when the one that answers is gone from the folder.
func (m *models) scan() error {
	folders, err := os.ReadDir(m.config.ModelsFolder)
	if err != nil {
		return err
	}
	for _, f := range folders {
		name := f.Name()
		if strings.HasPrefix(name, ".") || !isFolder(filepath.Join(m.config.ModelsFolder, name)) || m.named(name) {
			continue
		}
		now, all := m.answering(name), candidates(filepath.Join(m.config.ModelsFolder, name))
		for _, c := range all {
			if now != nil && now.path == c.path && now.signature == c.signature {
				break
			}
			if now != nil && c.number < now.number &&
				slices.ContainsFunc(all, func(c candidate) bool { return c.number == now.number }) {
				break
			}
			if m.refused[c.path] == c.signature {
				continue
			}
			v, err := m.load(name, c.number, c.path, c.signature)
			if err != nil {
				m.refused[c.path] = c.signature
				m.metrics.count(modelRefused, name)
				m.log.Error("a version was refused; the one before goes on answering", "model", name, "version",
					c.number, "error", err.Error())
				continue
			}
			delete(m.refused, c.path)
			m.put(v)
			m.log.Info("a version took over", "model", name, "version", c.number, "digest", v.Digest())
			break
		}
	}
	return nil
}

// named reports whether a name is one of --model's.
func (m *models) named(name string) bool {
	return slices.ContainsFunc(m.config.Models, func(n NamedModel) bool { return n.Name == name })
}

func (m *models) answering(name string) *version {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.current[name]
}

// candidates lists a name's versions, the highest first.
func candidates(folder string) []candidate {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var all []candidate
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		path := filepath.Join(folder, e.Name())
		if err != nil || number <= 0 || !isFolder(path) {
			continue
		}
		if file, signature, ok := modelIn(path); ok {
			all = append(all, candidate{number, file, signature})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(b.number, a.number) })
	return all
}

// modelIn finds the model in a version's folder: its one model file, or itself if it is
// a run's folder. signature tells of every file's size and time.
func modelIn(folder string) (path, signature string, ok bool) {
	var text strings.Builder
	files, models := 0, []string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files++
		fmt.Fprintf(&text, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		if filepath.Dir(path) == filepath.Clean(folder) && filepath.Ext(path) == ".safetensors" {
			models = append(models, path)
		}
		return nil
	})
	if err != nil || files == 0 {
		return "", "", false
	}
	if len(models) == 1 {
		return models[0], text.String(), true
	}
	return folder, text.String(), true
}

// isFolder follows links: versions are often laid out with them.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

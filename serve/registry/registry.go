// Package registry holds the models of a service: it opens them, watches a folder for new versions,
// and hands out the version that answers a request.
package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"garb/serve/engine"
	"garb/serve/observe"
)

// ErrNoModel is the error of a request for a model or version that is not served.
var ErrNoModel = errors.New("there is no such model")

// NamedModel is a model to serve, and the name that it is served under.
type NamedModel struct{ Name, Path string }

// Config holds the settings of a registry.
type Config struct {
	// Models are opened at the start. Folder, if not "", has folders NAME/VERSION/ that are
	// scanned every Interval.
	Models   []NamedModel
	Folder   string
	Interval time.Duration

	// Policies say which versions in Folder are loaded, by the model's name; "" stands for all
	// other models. The default is the highest version that can be used.
	Policies map[string]Policy
	// Labels name versions, by the model's name and the label. Labelled versions are loaded even
	// if the policy does not want them. Requests that name no version get StableLabel's, or else
	// the highest loaded one.
	Labels map[string]map[string]int
	// Canaries are the shares of those requests that CanaryLabel's version answers instead, by
	// the model's name.
	Canaries map[string]float64
	// Shadows are versions that classify the same pictures for comparison, by the model's name.
	Shadows map[string]Shadow

	// Control lets clients load, unload and roll back models.
	Control bool
	// MemoryBytes is the largest estimate of the memory of all models together, and 0 sets no
	// limit. A version that would exceed it is not loaded.
	MemoryBytes int64
	// WarmUp, if not "", is a folder of pictures that a version must classify before it answers
	// requests.
	WarmUp string
}

// DefaultConfig returns the default settings, without models.
func DefaultConfig() Config { return Config{Interval: 2 * time.Second} }

// modelName matches the names that a model may have, which are parts of URLs.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	if len(c.Models) == 0 && c.Folder == "" {
		return errors.New("no model is named")
	}
	names := map[string]bool{}
	for _, m := range c.Models {
		switch {
		case !modelName.MatchString(m.Name):
			return fmt.Errorf("the model name %q: names are up to 64 letters, digits, dots, dashes and underscores",
				m.Name)
		case names[m.Name]:
			return fmt.Errorf("two models have the name %s", m.Name)
		}
		names[m.Name] = true
	}
	if c.Interval < 1 {
		return fmt.Errorf("interval of scans of the models' folder %v: must be above 0", c.Interval)
	}
	return c.validateRules()
}

// Opener opens the model at a path, and checks it: its file, and its golden logits.
type Opener func(path string) (engine.Classifier, error)

// Version is a version of a model, which is served under the model's name.
type Version struct {
	Name   string
	Number int // 1 if there is no folder of versions
	Path   string
	Loaded time.Time
	*engine.Engine
	folder    string // in the models' folder, "" for one of Config.Models
	signature string // changes when the files do
	memory    int64
}

// served are the loaded versions of a model.
type served struct {
	versions map[int]*Version
	main     *Version // answers requests that name no version
	canary   *Version // answers a share of them; may be nil
	share    float64
}

// versionKey names a version in the models' folder.
type versionKey struct {
	name   string
	number int
}

// Registry holds the models of a service. Its methods may be called at the same time.
type Registry struct {
	config  Config
	engines engine.Config
	open    Opener
	metrics *observe.Metrics
	log     *slog.Logger
	files   fs.FS // the models' folder

	mu          sync.RWMutex // held for moments only
	defaultName string       // of the model for requests that name none
	models      map[string]*served
	memory      int64 // of the versions that are loaded or still in use

	// changes is held while models are loaded and unloaded. It guards the fields below.
	changes    sync.Mutex
	closed     bool
	refused    map[versionKey]refusal // versions that cannot be used
	unloaded   map[string]bool        // models that a client has unloaded
	unreadable map[string]string      // the errors that the log has, by what they are about

	shadows  map[string]*shadower // by the model's name
	retiring sync.WaitGroup
}

// Open opens all models of the configuration, and runs each in an engine. log gets a record for each
// change of models. The caller ends the registry with Close.
func Open(
	c Config, engines engine.Config, open Opener, m *observe.Metrics, log *slog.Logger,
) (*Registry, error) {
	return openFiles(c, engines, open, m, log, os.DirFS(c.Folder))
}

func openFiles(
	c Config, engines engine.Config, open Opener, m *observe.Metrics, log *slog.Logger, files fs.FS,
) (*Registry, error) {
	all := &Registry{
		config: c, engines: engines, open: open, metrics: m, log: log, files: files, models: map[string]*served{},
		refused: map[versionKey]refusal{}, unloaded: map[string]bool{}, unreadable: map[string]string{},
		shadows: map[string]*shadower{},
	}
	for name, s := range c.Shadows {
		all.shadows[name] = startShadower(all, name, s)
	}
	if err := all.loadAll(); err != nil {
		all.Close()
		return nil, err
	}
	if len(c.Models) > 0 {
		all.defaultName = c.Models[0].Name
	} else {
		all.defaultName = slices.Min(slices.Collect(maps.Keys(all.models)))
	}
	return all, nil
}

// loadAll loads the models at the start.
func (m *Registry) loadAll() error {
	for _, named := range m.config.Models {
		if err := m.loadConfigured(named); err != nil {
			return err
		}
	}
	if m.config.Folder == "" {
		return nil
	}
	if err := m.scan(); err != nil && !errors.Is(err, errEmpty) {
		var inner *fs.PathError
		if errors.As(err, &inner) { // it names the folder "."
			err = inner.Err
		}
		return fmt.Errorf("the models' folder %s cannot be read: %w", m.config.Folder, err)
	}
	if len(m.models) == len(m.config.Models) {
		return fmt.Errorf("%s has no model that can be used: it must have folders NAME/VERSION/, each with a "+
			"model file, where VERSION is a number", m.config.Folder)
	}
	return nil
}

// activate serves a version from now on. The one that it replaces ends when the last request that uses
// it has its answer.
func (m *Registry) activate(v *Version) {
	m.mu.Lock()
	s := m.models[v.Name]
	if s == nil {
		s = &served{versions: map[int]*Version{}}
		m.models[v.Name] = s
	}
	before := s.versions[v.Number]
	s.versions[v.Number] = v
	m.arrange(v.Name)
	m.mu.Unlock()
	m.metrics.SetVersion(v.observed())
	if before != nil {
		m.retire(before)
	}
}

// observed describes the version for metrics.
func (v *Version) observed() observe.Version {
	return observe.Version{
		Model: v.Name, Number: v.Number, Digest: v.Digest(), Classes: v.Classes(), Judges: v.Judges(),
	}
}

// deactivate ends versions of a model once they are not used any more.
func (m *Registry) deactivate(versions ...*Version) {
	for _, v := range versions {
		m.mu.Lock()
		s := m.models[v.Name]
		delete(s.versions, v.Number)
		if len(s.versions) == 0 {
			delete(m.models, v.Name)
		}
		m.arrange(v.Name)
		m.mu.Unlock()
		m.retire(v)
	}
}

// retire ends a version that gets no new requests, and frees its memory.
func (m *Registry) retire(v *Version) {
	m.metrics.RemoveVersion(v.observed())
	m.retiring.Go(func() {
		m.end(v)
		m.metrics.ForgetVersion(v.observed())
	})
}

// end ends a version after its last use.
func (m *Registry) end(v *Version) {
	v.Retire()
	m.mu.Lock()
	m.memory -= v.memory
	m.mu.Unlock()
}

// arrange decides which versions of a model answer what. The caller holds the lock.
func (m *Registry) arrange(name string) {
	s := m.models[name]
	if s == nil {
		return
	}
	labels := m.config.Labels[name]
	s.canary, s.share = s.versions[labels[CanaryLabel]], m.config.Canaries[name]
	s.main = s.versions[labels[StableLabel]]
	if s.main == nil {
		s.main = m.highest(name, func(number int) bool { return !m.config.isSideline(name, number) })
	}
	if s.main == nil { // better than none
		s.main = m.highest(name, func(int) bool { return true })
	}
	for _, v := range s.versions {
		v.Observe(m.shadows[name].observer(v))
	}
}

// highest returns the loaded version with the highest number that is allowed. The caller holds the
// lock.
func (m *Registry) highest(name string, allowed func(number int) bool) (best *Version) {
	for number, v := range m.models[name].versions {
		if allowed(number) && (best == nil || number > best.Number) {
			best = v
		}
	}
	return best
}

// Acquire returns the version that answers a request, and a function to call after its use. The model
// "" is the default one. version is a number, a label, or "" for the version that the rules choose;
// requests with the same identifier get the same one.
func (m *Registry) Acquire(name, version, requestID string) (v *Version, release func(), err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if name == "" {
		name = m.defaultName
	}
	s, ok := m.models[name]
	if !ok {
		return nil, nil, m.noModelError(name)
	}
	number, numberErr := parseNumber(version)
	switch {
	case version == "":
		v = s.choose(name, requestID)
	case numberErr == nil:
		v = s.versions[number]
	default:
		v = s.versions[m.config.Labels[name][version]]
	}
	if v == nil {
		if numberErr != nil {
			version = fmt.Sprintf("%.20q", version)
		}
		return nil, nil, fmt.Errorf("%w: version %s of %s; %s", ErrNoModel, version, name, m.describe(name))
	}
	return v, v.Use(), nil
}

// choose returns the version for a request that names none. It depends only on the identifier, so that
// a repeated request gets the same version from every instance.
func (s *served) choose(name, requestID string) *Version {
	if s.canary == nil || s.share == 0 {
		return s.main
	}
	digest := sha256.Sum256([]byte(name + "\n" + requestID))
	if float64(binary.BigEndian.Uint64(digest[:]))/math.MaxUint64 < s.share {
		return s.canary
	}
	return s.main
}

// describe lists the versions and labels of a model, for an error. The caller holds the lock.
func (m *Registry) describe(name string) string {
	var versions []string
	for _, number := range slices.Sorted(maps.Keys(m.models[name].versions)) {
		versions = append(versions, strconv.Itoa(number))
	}
	text := "the versions are " + strings.Join(versions, ", ")
	if len(versions) == 1 {
		text = "the only version is " + versions[0]
	}
	if labels := slices.Sorted(maps.Keys(m.config.Labels[name])); len(labels) > 0 {
		for i, label := range labels {
			labels[i] = fmt.Sprintf("%s=%d", label, m.config.Labels[name][label])
		}
		text += "; the labels are " + strings.Join(labels, ", ")
	}
	return text
}

// DefaultName returns the name of the model for requests that name none.
func (m *Registry) DefaultName() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.defaultName
}

// names returns the names of the models. The caller holds the lock.
func (m *Registry) names() []string { return slices.Sorted(maps.Keys(m.models)) }

// noModelError returns the error of a request for a model that does not exist.
func (m *Registry) noModelError(name string) error {
	if len(m.models) == 0 {
		return fmt.Errorf("%w: %q; no model is loaded", ErrNoModel, name)
	}
	return fmt.Errorf("%w: %q; the models are %s", ErrNoModel, name, strings.Join(m.names(), ", "))
}

// List returns the version of each model that answers requests that name none, in the order of their
// names.
func (m *Registry) List() []*Version {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []*Version
	for _, name := range m.names() {
		all = append(all, m.models[name].main)
	}
	return all
}

// Versions returns the loaded versions of a model, or of all models if the name is "", in the order of
// names and numbers. The error is ErrNoModel.
func (m *Registry) Versions(name string) ([]*Version, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []*Version
	for n, s := range m.models {
		if name == "" || n == name {
			all = slices.AppendSeq(all, maps.Values(s.versions))
		}
	}
	if len(all) == 0 && name != "" {
		return nil, m.noModelError(name)
	}
	slices.SortFunc(all, func(a, b *Version) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Number, b.Number))
	})
	return all, nil
}

// Close ends all models once they are not used any more.
func (m *Registry) Close() {
	m.changes.Lock()
	m.closed = true
	m.changes.Unlock()
	for _, s := range m.shadows {
		s.stop()
	}
	m.mu.Lock()
	for _, s := range m.models {
		for _, v := range s.versions {
			m.retiring.Go(func() { m.end(v) })
		}
	}
	m.models = map[string]*served{}
	m.mu.Unlock()
	m.retiring.Wait()
}

// Watch scans for new versions until ctx ends.
func (m *Registry) Watch(ctx context.Context) {
	tick := time.NewTicker(m.config.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = m.scan() // the log has the error
		}
	}
}

// isConfigured reports whether a name is one of Config.Models.
func (m *Registry) isConfigured(name string) bool {
	return slices.ContainsFunc(m.config.Models, func(n NamedModel) bool { return n.Name == name })
}

// absolute returns the path of what is in the models' folder.
func (m *Registry) absolute(path string) string {
	return filepath.Join(m.config.Folder, filepath.FromSlash(path))
}

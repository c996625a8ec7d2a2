package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"garb/model"
	"garb/picture"
	"garb/serve/engine"
)

// Errors of versions that are not loaded.
var (
	// ErrRefused is wrapped by the errors of versions that cannot be used.
	ErrRefused = errors.New("the version cannot be used")
	// errMemory is the error of a version that would exceed the memory limit.
	errMemory = errors.New("the models would take more memory than the limit")
	// errWithdrawn is why a version that was rolled back is not used.
	errWithdrawn = errors.New("the version was rolled back")
	errUnlisted  = errors.New("it exists, but the listing of its folder does not have it")
)

// refusal says why a version is not used.
type refusal struct {
	signature string // of the files; other files are tried again
	err       error
	memory    int64 // that it needs, if that is why
}

// load opens a model and classifies test pictures, which also warms it up for the first request.
func (m *Registry) load(name string, number int, path, signature string) (*Version, error) {
	classifier, err := m.open(path)
	if err != nil {
		return nil, err
	}
	v := &Version{
		Name: name, Number: number, Path: path, Loaded: time.Now(), signature: signature,
		Engine: engine.New(name, classifier, m.engines, m.metrics),
	}
	v.memory = v.MemoryBytes()
	if err := m.reserve(v.memory); err != nil {
		v.Retire()
		return nil, &memoryError{v.memory, err}
	}
	if err := m.warmUp(v); err != nil {
		m.end(v)
		return nil, err
	}
	return v, nil
}

// memoryError is the error of a version that would exceed the memory limit.
type memoryError struct {
	needs int64
	error
}

func (e *memoryError) Unwrap() error { return e.error }

// reserve counts the memory of a version, or fails if the limit does not allow it.
func (m *Registry) reserve(bytes int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if limit := m.config.MemoryBytes; limit > 0 && m.memory+bytes > limit {
		return fmt.Errorf("%w: it needs about %d MB, %d of %d MB are in use", errMemory, megabytes(bytes),
			megabytes(m.memory), megabytes(limit))
	}
	m.memory += bytes
	return nil
}

// megabytes rounds up.
func megabytes(bytes int64) int64 { return (bytes + 999_999) / 1_000_000 }

// fits reports whether the memory limit allows a version that needs this much.
func (m *Registry) fits(bytes int64) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.memory+bytes <= m.config.MemoryBytes
}

// warmUp lets a version classify a drawn picture, and those of the folder for warming up.
func (m *Registry) warmUp(v *Version) error {
	input := make([]float32, v.Spec().ValueCount())
	v.Spec().Tensor(model.DrawGoldenPicture(0), input)
	if err := v.WarmUp(context.Background(), input); err != nil {
		return fmt.Errorf("the model cannot classify a test picture: %w", err)
	}
	return m.classifyPictures(v)
}

// maxWarmUp is the largest number of pictures that a version must classify before it answers requests.
const maxWarmUp = 64

// classifyPictures lets a version classify the pictures in Config.WarmUp. It fails at the first one
// that the version cannot classify.
func (m *Registry) classifyPictures(v *Version) error {
	if m.config.WarmUp == "" {
		return nil
	}
	entries, err := os.ReadDir(m.config.WarmUp)
	if err != nil {
		return fmt.Errorf("the pictures for warming up: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return e.IsDir() || strings.HasPrefix(e.Name(), ".")
	})
	if len(entries) == 0 || len(entries) > maxWarmUp {
		return fmt.Errorf("%s has %d pictures for warming up; from 1 to %d are allowed", m.config.WarmUp, len(entries),
			maxWarmUp)
	}
	for _, e := range entries {
		if err := m.classifyFile(v, filepath.Join(m.config.WarmUp, e.Name())); err != nil {
			return fmt.Errorf("the picture for warming up %s: %w", e.Name(), err)
		}
	}
	return nil
}

// classifyFile lets a version classify a picture in a file.
func (m *Registry) classifyFile(v *Version, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := picture.Read(file, m.engines.Limits)
	if err != nil {
		return err
	}
	input := make([]float32, v.Spec().ValueCount())
	if _, err := v.Spec().Load(context.Background(), data, m.engines.Limits, input); err != nil {
		return err
	}
	return v.WarmUp(context.Background(), input)
}

// loadConfigured loads one of Config.Models, again if it is loaded already.
func (m *Registry) loadConfigured(named NamedModel) error {
	v, err := m.load(named.Name, 1, named.Path, "")
	if err != nil {
		return err
	}
	m.activate(v)
	return nil
}

// scan loads and unloads models so that they are those in the models' folder. What cannot be read
// stays as it is.
func (m *Registry) scan() error {
	m.changes.Lock()
	defer m.changes.Unlock()
	if m.closed {
		return nil
	}
	names, err := listNames(m.files)
	if m.noteReading("", err); err != nil {
		return err
	}
	for _, v := range m.inFolder() {
		if !slices.Contains(names, v.Name) && m.isGone(v.Name) {
			m.deactivate(v)
			m.log.Warn("a model was removed from the models' folder, and is not served any more", "model", v.Name,
				"version", v.Number)
		}
	}
	for _, name := range names {
		if !m.isConfigured(name) && !m.unloaded[name] {
			_ = m.update(name) // the log has the errors
		}
	}
	return nil
}

// inFolder returns the loaded versions that come from the models' folder.
func (m *Registry) inFolder() []*Version {
	all, _ := m.Versions("") // fails only for a name
	return slices.DeleteFunc(all, func(v *Version) bool { return m.isConfigured(v.Name) })
}

// loaded returns the loaded versions of a model by their numbers.
func (m *Registry) loaded(name string) map[int]*Version {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.models[name]; s != nil {
		return maps.Clone(s.versions)
	}
	return nil
}

// update loads the versions of a model in the models' folder that the rules want and that can be used,
// then unloads the others. It returns the errors of versions that were refused now. The caller holds
// changes.
func (m *Registry) update(name string) error {
	loaded := m.loaded(name)
	all, err := listCandidates(m.files, name)
	if m.noteReading(name, err); err != nil {
		return err
	}
	keep := map[int]bool{}
	var errs []error
	counted, withdrawn := 0, false
	for _, c := range all {
		if !m.config.isNamed(name, c.number) && !m.config.policy(name).wants(c.number, counted) {
			continue
		}
		usable, err := m.prepare(name, c, loaded[c.number])
		errs = append(errs, err)
		if usable {
			keep[c.number] = true
		}
		if usable && !m.config.isSideline(name, c.number) {
			counted++
		}
		withdrawn = withdrawn || errors.Is(m.refused[versionKey{name, c.number}].err, errWithdrawn)
	}
	if len(keep) == 0 && withdrawn { // never without
		return errors.Join(errs...)
	}
	for _, number := range slices.Sorted(maps.Keys(loaded)) {
		listed := slices.ContainsFunc(all, func(c candidate) bool { return c.number == number })
		if !keep[number] && (listed || m.isGone(loaded[number].folder)) {
			m.deactivate(loaded[number])
			m.log.Info("a version is not served any more", "model", name, "version", number)
		}
	}
	return errors.Join(errs...)
}

// isGone reports whether a folder does not exist any more. A listing may leave out what exists.
func (m *Registry) isGone(folder string) bool {
	_, err := fs.Stat(m.files, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err == nil {
		err = errUnlisted
	}
	m.noteReading(folder, err)
	return false
}

// prepare makes sure that a version is loaded as its files are now. It reports whether the version is
// usable: a version that was loaded stays so if its files cannot be read or opened.
func (m *Registry) prepare(name string, c candidate, now *Version) (usable bool, err error) {
	key := versionKey{name, c.number}
	if m.noteReading(name+"/"+c.name, c.err); c.err != nil || c.path == "" {
		return now != nil && !errors.Is(m.refused[key].err, errWithdrawn), nil
	}
	if r, ok := m.refused[key]; ok && r.signature == c.signature && (r.memory == 0 || !m.fits(r.memory)) {
		return now != nil && !errors.Is(r.err, errWithdrawn), nil
	}
	path := m.absolute(c.path)
	if now != nil && now.Path == path && now.signature == c.signature {
		return true, nil
	}
	v, err := m.load(name, c.number, path, c.signature)
	if err != nil {
		return now != nil, m.refuse(key, c, err)
	}
	v.folder = name + "/" + c.name
	m.noteReading(c.path+"/", nil)
	delete(m.refused, key)
	m.activate(v)
	m.log.Info("a new version is being served", "model", name, "version", c.number, "digest", v.Digest())
	return true, nil
}

// refuse records that a version cannot be used. An error of reading its files may pass, so it is tried
// again at the next scan; otherwise when its files change.
func (m *Registry) refuse(key versionKey, c candidate, err error) error {
	var reading *fs.PathError
	if errors.As(err, &reading) {
		m.noteReading(c.path+"/", err)
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	r := refusal{signature: c.signature, err: err}
	if memory := (*memoryError)(nil); errors.As(err, &memory) {
		r.memory = memory.needs
	}
	m.refused[key] = r
	m.metrics.CountModelRefused(key.name)
	m.log.Error("a version cannot be used; the previous one is still being served",
		"model", key.name, "version", key.number, "error", err.Error())
	return fmt.Errorf("%w: version %d of %s: %w", ErrRefused, key.number, key.name, err)
}

// noteReading records whether something in the models' folder could be read: the folder itself (""), or
// what belongs to a model. The log gets the first of several equal errors.
func (m *Registry) noteReading(path string, err error) {
	if err == nil {
		if _, ok := m.unreadable[path]; ok {
			delete(m.unreadable, path)
			m.log.Info("a part of the models' folder can be read again", "path", m.absolute(path))
		}
		return
	}
	name, _, _ := strings.Cut(path, "/")
	counted := ""
	for _, v := range m.inFolder() { // sorted by their names
		if v.Name != counted && (name == "" || name == v.Name) {
			counted = v.Name
			m.metrics.CountModelUnreadable(v.Name)
		}
	}
	if m.unreadable[path] != err.Error() {
		m.unreadable[path] = err.Error()
		m.log.Warn("a part of the models' folder cannot be read; versions that were loaded before stay", "path",
			m.absolute(path), "error", err.Error())
	}
}

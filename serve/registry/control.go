package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"garb/serve/engine"
)

// ErrNoControl is the error of clients that load, unload or list models without permission.
var ErrNoControl = errors.New("the service does not let clients control its models")

// State is the state of a version, under its name in Triton's repository API.
type State string

// The states.
const (
	Ready       State = "READY"
	Unavailable State = "UNAVAILABLE"
)

// Entry is a version in the index of all models.
type Entry struct {
	Name   string
	Number int // 0 if the model's versions cannot be listed
	State  State
	Reason string // why it is not ready
}

// Index returns all versions that are served or in the models' folder, in the order of names and
// numbers.
func (m *Registry) Index() ([]Entry, error) {
	if !m.config.Control {
		return nil, ErrNoControl
	}
	m.changes.Lock()
	defer m.changes.Unlock()
	all := map[versionKey]Entry{}
	for _, named := range m.config.Models {
		key := versionKey{named.Name, 1}
		all[key] = Entry{named.Name, 1, Unavailable, "unloaded"}
	}
	if m.config.Folder != "" {
		names, err := listNames(m.files)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !m.isConfigured(name) {
				m.indexFolder(name, all)
			}
		}
	}
	loaded, err := m.Versions("")
	if err != nil {
		return nil, err
	}
	for _, v := range loaded {
		all[versionKey{v.Name, v.Number}] = Entry{v.Name, v.Number, Ready, ""}
	}
	var entries []Entry
	for _, e := range all {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Number, b.Number))
	})
	return entries, nil
}

// indexFolder adds the versions in a model's folder to an index, as if none were loaded.
func (m *Registry) indexFolder(name string, to map[versionKey]Entry) {
	versions, err := listCandidates(m.files, name)
	if err != nil {
		to[versionKey{name, 0}] = Entry{name, 0, Unavailable, err.Error()}
	}
	for _, c := range versions {
		key, reason := versionKey{name, c.number}, "the version policy does not load it"
		r, refused := m.refused[key]
		switch {
		case m.unloaded[name]:
			reason = "unloaded"
		case c.err != nil:
			reason = c.err.Error()
		case c.path == "":
			reason = "the folder is empty"
		case refused:
			reason = r.err.Error()
		}
		to[key] = Entry{name, c.number, Unavailable, reason}
	}
}

// Load loads a model again: the versions in the models' folder that the rules want, also those that
// were unloaded, rolled back or refused before, or the model of Config.Models. It fails if one of them
// cannot be used, which leaves what was loaded.
func (m *Registry) Load(name string) error {
	if err := m.begin(); err != nil {
		return err
	}
	defer m.changes.Unlock()
	m.forgetRefusals(name)
	if i := slices.IndexFunc(m.config.Models, func(n NamedModel) bool { return n.Name == name }); i >= 0 {
		if err := m.loadConfigured(m.config.Models[i]); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return nil
	}
	if err := m.findInFolder(name); err != nil {
		return err
	}
	delete(m.unloaded, name)
	if err := m.update(name); err != nil {
		return err
	}
	if len(m.loaded(name)) == 0 {
		return fmt.Errorf("%w: %s has no version that can be used", ErrRefused, name)
	}
	return nil
}

// Unload ends all versions of a model once they are not used any more. They are not loaded again until
// Load is called.
func (m *Registry) Unload(name string) error {
	if err := m.begin(); err != nil {
		return err
	}
	defer m.changes.Unlock()
	versions, err := m.Versions(name)
	if err != nil || name == "" {
		return cmp.Or(err, ErrNoModel)
	}
	m.unloaded[name] = true
	m.deactivate(versions...)
	m.log.Info("a client unloaded a model", "model", name)
	return nil
}

// RollBack withdraws a version of a model, or with number 0 the highest one that is loaded and not the
// shadow version: the versions that the rules want without it are served instead. The withdrawn version
// is not loaded again until its files change or Load is called. RollBack fails if there is no other
// version that can be used.
func (m *Registry) RollBack(name string, number int) error {
	if err := m.begin(); err != nil {
		return err
	}
	defer m.changes.Unlock()
	versions, err := m.Versions(name)
	if err != nil || name == "" {
		return cmp.Or(err, ErrNoModel)
	}
	v := versions[len(versions)-1]
	if len(versions) > 1 && v.Number == m.config.Shadows[name].Version {
		v = versions[len(versions)-2]
	}
	if i := slices.IndexFunc(versions, func(v *Version) bool { return v.Number == number }); i >= 0 {
		v = versions[i]
	} else if number != 0 {
		return fmt.Errorf("%w: version %d of %s", ErrNoModel, number, name)
	}
	if m.isConfigured(name) {
		return fmt.Errorf("%w: %s has no other version", ErrRefused, name)
	}
	key := versionKey{name, v.Number}
	m.refused[key] = refusal{signature: m.signatureNow(v), err: errWithdrawn}
	if err = m.update(name); m.loaded(name)[v.Number] != nil {
		delete(m.refused, key)
		return errors.Join(fmt.Errorf("%w: %s has no other version that can be used", ErrRefused, name), err)
	}
	m.log.Info("a client rolled back a version", "model", name, "version", v.Number)
	return nil
}

// signatureNow returns the signature of a version's files as they are now, which may be newer than
// what is loaded.
func (m *Registry) signatureNow(v *Version) string {
	all, _ := listCandidates(m.files, v.Name) // if that fails, nothing is known
	for _, c := range all {
		if c.number == v.Number && c.err == nil {
			return c.signature
		}
	}
	return v.signature
}

// begin takes the lock of changes, unless clients may not change models.
func (m *Registry) begin() error {
	if !m.config.Control {
		return ErrNoControl
	}
	m.changes.Lock()
	if m.closed {
		m.changes.Unlock()
		return engine.ErrStopping
	}
	return nil
}

// forgetRefusals makes the refused versions of a model be tried again.
func (m *Registry) forgetRefusals(name string) {
	for key := range m.refused {
		if key.name == name {
			delete(m.refused, key)
		}
	}
}

// findInFolder returns an error if the models' folder has no model of the name.
func (m *Registry) findInFolder(name string) error {
	if m.config.Folder == "" {
		return fmt.Errorf("%w: %q", ErrNoModel, name)
	}
	names, err := listNames(m.files)
	if err != nil {
		return err
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("%w: %q", ErrNoModel, name)
	}
	return nil
}

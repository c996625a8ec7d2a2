package registry

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Policy says which versions of a model are loaded: the Latest highest ones that can be used, or those
// with the numbers in Specific, or with neither all of them.
type Policy struct {
	Latest   int
	Specific []int
}

// wants reports whether a version is loaded if this number of higher ones have been.
func (p Policy) wants(number, higher int) bool {
	switch {
	case p.Latest > 0:
		return higher < p.Latest
	case p.Specific != nil:
		return slices.Contains(p.Specific, number)
	}
	return true
}

// Shadow is a version that classifies pictures that another version of the model has answered. No
// client gets its answers: they are only compared.
type Shadow struct {
	Version int
	Share   float64 // of the pictures, above 0 and up to 1
}

// CanaryLabel is the label of the version that gets the share in Config.Canaries, and StableLabel that
// of the version that answers requests that name no version.
const (
	CanaryLabel = "canary"
	StableLabel = "stable"
)

// labelName matches the labels that a version may have. A number would be taken for a version.
var labelName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// AddPolicy adds a version policy: latest:N, all or specific:1,3, for one model if NAME= precedes it.
func (c *Config) AddPolicy(text string) error {
	name, rule, ok := strings.Cut(text, "=")
	if !ok {
		name, rule = "", text
	}
	p, err := parsePolicy(rule)
	if err != nil {
		return err
	}
	return add(&c.Policies, name, p)
}

func parsePolicy(text string) (p Policy, err error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "all":
		if text == kind {
			return p, nil
		}
	case "latest":
		if p.Latest, err = parseNumber(rest); err == nil {
			return p, nil
		}
	case "specific":
		for _, number := range strings.Split(rest, ",") {
			n, err := parseNumber(number)
			if err != nil {
				return p, err
			}
			p.Specific = append(p.Specific, n)
		}
		return p, nil
	}
	return p, fmt.Errorf("the version policy %.40q: it must be latest:N, all or specific:N,N", text)
}

// AddLabel adds a label: NAME:LABEL=VERSION.
func (c *Config) AddLabel(text string) error {
	key, number, ok := strings.Cut(text, "=")
	name, label, named := strings.Cut(key, ":")
	n, err := parseNumber(number)
	if !ok || !named || err != nil {
		return fmt.Errorf("the label %.80q: it must be NAME:LABEL=VERSION, such as clothing:stable=3", text)
	}
	if c.Labels == nil {
		c.Labels = map[string]map[string]int{}
	}
	labels := c.Labels[name]
	if err = add(&labels, label, n); err != nil {
		return err
	}
	c.Labels[name] = labels
	return nil
}

// AddCanary adds the share of requests that the version with the label canary answers: NAME=SHARE,
// where SHARE is 10% or 0.1.
func (c *Config) AddCanary(text string) error {
	name, share, ok := strings.Cut(text, "=")
	s, err := parseShare(share)
	if !ok || err != nil {
		return fmt.Errorf("the canary %.80q: it must be NAME=SHARE, such as clothing=10%%", text)
	}
	return add(&c.Canaries, name, s)
}

// AddShadow adds a shadow version: NAME=VERSION, or NAME=VERSION:SHARE for a share of the pictures.
func (c *Config) AddShadow(text string) error {
	name, rest, ok := strings.Cut(text, "=")
	number, share, some := strings.Cut(rest, ":")
	s := Shadow{Share: 1}
	n, err := parseNumber(number)
	s.Version = n
	if some && err == nil {
		s.Share, err = parseShare(share)
	}
	if !ok || err != nil {
		return fmt.Errorf("the shadow version %.80q: it must be NAME=VERSION or NAME=VERSION:SHARE, such as "+
			"clothing=4:50%%", text)
	}
	return add(&c.Shadows, name, s)
}

// add adds an entry to a map, which it creates if it is nil. It fails if there is one already.
func add[V any](to *map[string]V, key string, value V) error {
	if _, ok := (*to)[key]; ok {
		return fmt.Errorf("%q is set twice", key)
	}
	if *to == nil {
		*to = map[string]V{}
	}
	(*to)[key] = value
	return nil
}

// parseNumber parses the number of a version, or of versions: at least 1.
func parseNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || strconv.Itoa(n) != text {
		return 0, fmt.Errorf("%.40q is not a number from 1", text)
	}
	return n, nil
}

// parseShare parses a share: 10% or 0.1.
func parseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !isShare(share) {
		return 0, fmt.Errorf("%.40q is not a share above 0 and up to 100%%", text)
	}
	return share, nil
}

func isShare(share float64) bool { return share > 0 && share <= 1 }

// validateRules reports rules that cannot work.
func (c Config) validateRules() error {
	for name, p := range c.Policies {
		if p.Latest < 0 || p.Latest > 0 && p.Specific != nil {
			return fmt.Errorf("the version policy of %q is contradictory", name)
		}
	}
	for name, labels := range c.Labels {
		for label, number := range labels {
			if !labelName.MatchString(label) || number < 1 {
				return fmt.Errorf("the label %.80q of version %d of %s: labels are up to 64 letters, digits, dashes "+
					"and underscores that begin with a letter, and versions are numbers from 1", label, number, name)
			}
		}
	}
	for name, share := range c.Canaries {
		switch {
		case !isShare(share):
			return fmt.Errorf("the canary's share of %s is %g: it must be above 0 and up to 1", name, share)
		case c.Labels[name][CanaryLabel] == 0:
			return fmt.Errorf("the canary of %s gets a share of the requests, but no version has the label %s", name,
				CanaryLabel)
		}
	}
	for name, s := range c.Shadows {
		if !isShare(s.Share) || s.Version < 1 {
			return fmt.Errorf("the shadow version %d of %s with the share %g: versions are numbers from 1, and shares "+
				"above 0 and up to 1", s.Version, name, s.Share)
		}
	}
	if c.MemoryBytes < 0 {
		return errors.New("the memory limit of the models is negative")
	}
	return nil
}

// policy returns the policy of a model.
func (c Config) policy(name string) Policy {
	if p, ok := c.Policies[name]; ok {
		return p
	}
	if p, ok := c.Policies[""]; ok {
		return p
	}
	return Policy{Latest: 1}
}

// Policy returns the version policy of a model.
func (m *Registry) Policy(name string) Policy { return m.config.policy(name) }

// isSideline reports whether a version gets no request unless the request names it or the canary's
// share falls to it.
func (c Config) isSideline(name string, number int) bool {
	return c.Labels[name][CanaryLabel] == number || c.Shadows[name].Version == number
}

// isNamed reports whether a rule names a version, so that it is loaded whatever the policy says.
func (c Config) isNamed(name string, number int) bool {
	if c.Shadows[name].Version == number {
		return true
	}
	for _, n := range c.Labels[name] {
		if n == number {
			return true
		}
	}
	return false
}

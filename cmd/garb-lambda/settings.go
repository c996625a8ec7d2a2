package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"garb/accept"
	"garb/model"
	"garb/serve"
)

// configuration is what the environment says.
type configuration struct {
	config serve.Config
	accept *float64 // nil for the model's own threshold
	memory memory
}

// settingError is the error of an environment variable.
type settingError struct {
	name string
	err  error
}

// Error returns the variable's name and what is wrong with it.
func (e *settingError) Error() string { return e.name + ": " + e.err.Error() }

// Unwrap returns what is wrong.
func (e *settingError) Unwrap() error { return e.err }

// setting is an environment variable. It has the name and the meaning that it has for garb serve.
type setting struct {
	name, help string
	set        func(c *configuration, value string) error
}

// settings are the environment variables. The other settings of garb serve make no sense in a function that
// Lambda starts, and that answers one event at a time.
var settings = []setting{
	{"GARB_MODEL", "models as NAME=PATH, or clothing, garments or imagenet; the first is the default (clothing)",
		addModels},
	{"GARB_ACCEPT", "acceptance threshold from 0 to 1, or all to accept every picture (the model's own)",
		func(c *configuration, value string) error {
			threshold, err := accept.ParseThreshold(value)
			c.accept = &threshold
			return err
		}},
	{"GARB_WARM_UP", "folder of pictures to classify before the first event",
		func(c *configuration, value string) error { c.config.Models.WarmUp = value; return nil }},
	{"GARB_ALLOW_URL_PREFIX", "prefixes of the URLs that pictures may be fetched from (none)",
		func(c *configuration, value string) error { c.config.URLPrefixes = splitList(value); return nil }},
	{"GARB_ALLOW_PRIVATE_PREFIX", "private networks that pictures may be fetched from, such as 10.0.0.0/8 (none)",
		addNetworks},
	{"GARB_API_KEY_FILE", "file of the API keys that clients need (none)",
		func(c *configuration, value string) error { c.config.APIKeyFile = value; return nil }},
	{"GARB_CORS_ORIGIN", "origins whose web pages may use the function, or * for all (none)",
		func(c *configuration, value string) error { c.config.Origin.CORSOrigins = splitList(value); return nil }},
	{"GARB_MAX_BODY", "maximum size of a request body, in bytes (6291456, Lambda's own limit)",
		func(c *configuration, value string) error { return setNumber(&c.config.Bodies.MaxBytes, value) }},
	{"GARB_MAX_PICTURES", "maximum number of pictures per request (32)",
		func(c *configuration, value string) error { return setNumber(&c.config.Bodies.MaxPictures, value) }},
	{"GARB_MAX_PIXELS", "maximum pixels of a picture, width × height (what fits into the function's memory)",
		func(c *configuration, value string) error {
			var pixels int
			err := setNumber(&pixels, value)
			c.config.Engine.Limits = c.config.Engine.Limits.WithMaxPixels(pixels)
			return err
		}},
	{"GARB_TRUNCATED", "pictures that are cut short: refuse, or keep to read what is there (refuse)",
		func(c *configuration, value string) error {
			c.config.Engine.Limits.KeepTruncated = value == "keep"
			if value != "keep" && value != "refuse" {
				return errors.New("it must be refuse or keep")
			}
			return nil
		}},
	{"GARB_TIMEOUT", "request timeout, such as 10s (half a second less than the function's timeout)",
		func(c *configuration, value string) (err error) {
			c.config.RequestTimeout, err = time.ParseDuration(value)
			return err
		}},
}

// ownVariables are those that packages read by themselves: the kernel level, and the folder of weights.
var ownVariables = []string{"GARB_CPU", "GARB_HOME"}

// longestInvocation is Lambda's limit.
const longestInvocation = 15 * time.Minute

// maxBody is Lambda's limit of an event, which no body exceeds.
const maxBody = 6 << 20

// newConfig returns the settings of a service that answers one event at a time, within the memory.
func newConfig(m memory) serve.Config {
	c := serve.Default()
	c.Engine.Workers, c.Engine.Decoders, c.Engine.MaxBatch = 1, 1, 1
	c.Engine.Limits = m.limitPictures()
	c.Bodies.MaxBytes, c.Bodies.BudgetBytes = maxBody, 4*maxBody
	c.RequestTimeout = longestInvocation // the invocation has its own deadline
	return c
}

// readSettings reads the settings from an environment, and checks them. Its errors are a *settingError each.
func readSettings(environment []string) (*configuration, error) {
	values := map[string]string{}
	for _, line := range environment {
		if name, value, _ := strings.Cut(line, "="); value != "" { // templates set what is left out to ""
			values[name] = value
		}
	}
	c := new(configuration)
	var err error
	if c.memory, err = parseMemory(values[memoryVariable]); err != nil {
		return nil, err
	}
	c.config = newConfig(c.memory)
	for _, s := range settings {
		if value, ok := values[s.name]; ok {
			if err := s.set(c, value); err != nil {
				return nil, &settingError{s.name, fmt.Errorf("%q: %w", value, err)}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if strings.HasPrefix(name, "GARB_") && !slices.Contains(ownVariables, name) &&
			!slices.ContainsFunc(settings, func(s setting) bool { return s.name == name }) {
			return nil, &settingError{name, fmt.Errorf("a function has no such setting; it has %s", listNames())}
		}
	}
	if len(c.config.Models.Models) == 0 {
		c.config.Models.Models = []serve.NamedModel{{Name: model.Clothing, Path: model.Clothing}}
	}
	if err := c.config.Validate(); err != nil {
		return nil, &settingError{"the settings", err}
	}
	return c, nil
}

// listNames lists the variables.
func listNames() string {
	var names []string
	for _, s := range settings {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// addModels adds the models of a list.
func addModels(c *configuration, value string) error {
	for _, text := range splitList(value) {
		name, path, ok := strings.Cut(text, "=")
		if !ok && !slices.Contains(model.BuiltInNames(), text) {
			return errors.New("it must be NAME=PATH, such as clothing=model.safetensors")
		}
		if !ok {
			path = name
		}
		c.config.Models.Models = append(c.config.Models.Models, serve.NamedModel{Name: name, Path: path})
	}
	return nil
}

// addNetworks adds the private networks of a list.
func addNetworks(c *configuration, value string) error {
	for _, text := range splitList(value) {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return errors.New("it must be a network such as 10.0.0.0/8")
		}
		c.config.AllowPrivate = append(c.config.AllowPrivate, network)
	}
	return nil
}

// splitList splits a comma-separated list.
func splitList(value string) []string { return strings.Split(value, ",") }

// setNumber sets a positive number.
func setNumber[T int | int64](to *T, value string) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 || int64(T(n)) != n {
		return errors.New("it must be a positive number")
	}
	*to = T(n)
	return nil
}

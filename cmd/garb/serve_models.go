//go:build !small

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"garb/serve"
)

// modelRules holds the flags of serve for the versions of models.
type modelRules struct {
	policies, labels, canaries, shadows []string
}

// addFlags adds the flags for the versions of models.
func (r *modelRules) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&r.policies, "version-policy", nil,
		"versions in --models to load, as `POLICY`: latest:N, all or specific:N,N; NAME=POLICY for one model; "+
			"repeatable "+
			"(default latest:1)")
	flags.StringArrayVar(&r.labels, "label", nil,
		"label of a version, `NAME:LABEL=VERSION`; the version labelled stable answers requests that name no version; "+
			"repeatable")
	flags.StringArrayVar(&r.canaries, "canary", nil,
		"share of the requests without a version that the version labelled canary answers, `NAME=10%`; repeatable")
	flags.StringArrayVar(&r.shadows, "shadow", nil,
		"version that also classifies the pictures, only for comparison: `NAME=VERSION` or NAME=VERSION:10%; "+
			"repeatable")
}

// apply adds the rules to the settings.
func (r *modelRules) apply(config *serve.ModelConfig) error {
	for _, f := range []struct {
		name   string
		values []string
		add    func(string) error
	}{
		{"version-policy", joinNumbers(r.policies), config.AddPolicy},
		{"label", r.labels, config.AddLabel},
		{"canary", r.canaries, config.AddCanary},
		{"shadow", r.shadows, config.AddShadow},
	} {
		for _, value := range f.values {
			if err := f.add(value); err != nil {
				return fmt.Errorf("--%s: %w", f.name, err)
			}
		}
	}
	return nil
}

// joinNumbers joins the numbers of specific:1,3 again, which the value of an environment variable is
// split at.
func joinNumbers(policies []string) (joined []string) {
	for _, p := range policies {
		if last := len(joined) - 1; last >= 0 && p != "" && strings.Trim(p, "0123456789") == "" {
			joined[last] += "," + p
			continue
		}
		joined = append(joined, p)
	}
	return joined
}

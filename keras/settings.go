package keras

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SettingError says that garb does not support a layer's setting.
type SettingError struct {
	Layer   string // its path: the names of the models around it and its own, with slashes
	Class   string // Keras's: "Conv2D"
	Setting string // in Keras: "dilation_rate"
	Has     string // its value in the file, as JSON
	Can     string // what garb supports
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("layer %q, a %s, has %s %s; garb supports %s", e.Layer, e.Class, e.Setting, e.Has, e.Can)
}

// settings reads a layer's config. It reports a setting that garb does not support, and then
// returns a meaningless value.
type settings struct {
	place, class string
	config
	report func(error) int
}

// config is a layer's config and which of its settings were read. An unread setting that could
// change the answer is an error.
type config struct {
	values map[string]any
	used   map[string]bool
}

// maxSetting limits sizes, strides and numbers of filters.
const maxSetting = 1 << 20

func parseConfig(described json.RawMessage) config {
	var values map[string]any
	json.Unmarshal(described, &values) // if it is not an object, nothing is set
	return newConfig(values)
}

func newConfig(values map[string]any) config { return config{values, map[string]bool{}} }

// withoutEffect has the settings that change no answer, with the reason. Initializers, regularizers
// and constraints have none either, since the weights are in the file.
var withoutEffect = map[string]string{
	"name":              "a name",
	"trainable":         "of training",
	"seed":              "of training",
	"synchronized":      "of training: over which devices",
	"renorm_momentum":   "of training; renorm is refused",
	"renorm_clipping":   "of training; renorm is refused",
	"fused":             "how it is computed",
	"batch_shape":       "read as the shape of the model's input",
	"batch_input_shape": "read as the shape of the model's input",
	"optional":          "whether the input may be missing",
	"data_format":       "channels_last: parseLayer refuses others",
}

func hasNoEffect(key string) bool {
	return withoutEffect[key] != "" || strings.HasSuffix(key, "_initializer") ||
		strings.HasSuffix(key, "_regularizer") || strings.HasSuffix(key, "_constraint")
}

// checkUnused refuses a setting that was not read, unless it is null.
func (s *settings) checkUnused() {
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if !s.used[key] && s.values[key] != nil && !hasNoEffect(key) {
			s.refuse(key, "no such setting")
			return
		}
	}
}

// checkPrecision requires that a layer computes in float32.
func (s *settings) checkPrecision() {
	switch v := s.get("dtype").(type) {
	case nil:
		return
	case string:
		if v == "float32" {
			return
		}
	case map[string]any:
		class, _ := v["class_name"].(string)
		policy, _ := v["config"].(map[string]any)
		if (class == "DTypePolicy" || class == "Policy") && len(policy) == 1 && policy["name"] == "float32" {
			return
		}
	}
	s.refuse("dtype", "float32")
}

// findUnusedModelSetting returns a setting of a model that garb does not know; "" if there is none.
func findUnusedModelSetting(described json.RawMessage) (key string, has any) {
	var values map[string]json.RawMessage
	json.Unmarshal(described, &values) // a bare list has none
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch key {
		case "layers", "input_layers", "output_layers", "build_input_shape":
			continue
		}
		var v any
		json.Unmarshal(values[key], &v)
		s := settings{config: newConfig(map[string]any{key: v})}
		refused := false
		s.report = func(error) int { refused = true; return 0 }
		if s.checkPrecision(); !s.used[key] {
			refused = refused || v != nil && !hasNoEffect(key)
		}
		if refused {
			return key, v
		}
	}
	return "", nil
}

// refuse reports that garb supports other values of a setting.
func (s *settings) refuse(key, can string) {
	s.report(&SettingError{s.place, s.class, key, formatValue(s.values[key]), can})
}

// formatValue formats a value as JSON and cuts it off if it is long.
func formatValue(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	has := string(text)
	if len(has) > 80 {
		has = strings.ToValidUTF8(has[:80], "") + "…"
	}
	return has
}

// get returns a value, nil if it is missing or null. Wrapped arrays are unwrapped.
func (s *settings) get(key string) any {
	if _, ok := s.values[key]; ok {
		s.used[key] = true
	}
	return unwrapArray(s.values[key])
}

// unwrapArray returns the array in {"class_name": "__numpy__", "config": {"value": ...}}, and other
// values unchanged.
func unwrapArray(v any) any {
	if wrapped, ok := v.(map[string]any); ok {
		switch wrapped["class_name"] {
		case "__numpy__", "__ndarray__", "__tensor__":
			config, _ := wrapped["config"].(map[string]any)
			return config["value"]
		}
	}
	return v
}

func (s *settings) getNumber(key string, fallback float64) float64 {
	switch v := s.get(key).(type) {
	case nil:
		return fallback
	case float64:
		return v
	}
	s.refuse(key, "a number")
	return fallback
}

func (s *settings) getText(key, fallback string) string {
	switch v := s.get(key).(type) {
	case nil:
		return fallback
	case string:
		return v
	}
	s.refuse(key, "a word")
	return fallback
}

func (s *settings) getFlag(key string, fallback bool) bool {
	switch v := s.get(key).(type) {
	case nil:
		return fallback
	case bool:
		return v
	}
	s.refuse(key, "true or false")
	return fallback
}

// getCount returns a positive integer.
func (s *settings) getCount(key string) int {
	if n, ok := toWhole(s.get(key), 1); ok {
		return n
	}
	s.refuse(key, "positive integers")
	return 1
}

func toWhole(v any, low int) (int, bool) {
	n, ok := v.(float64)
	if !ok || n != float64(int(n)) || n < float64(low) || n > maxSetting {
		return 0, false
	}
	return int(n), true
}

// getPair returns a value for height and width, from two numbers or one for both. If it is missing,
// it returns the fallback.
func (s *settings) getPair(key string, fallback [2]int) (height, width int) {
	v := s.get(key)
	if v == nil {
		return fallback[0], fallback[1]
	}
	if pair, ok := toPair(v, 1); ok {
		return pair[0], pair[1]
	}
	s.refuse(key, "one or two positive integers")
	return 1, 1
}

func toPair(v any, low int) (pair [2]int, ok bool) {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if len(list) == 1 {
		list = []any{list[0], list[0]}
	}
	if len(list) != 2 {
		return pair, false
	}
	for i := range pair {
		if pair[i], ok = toWhole(list[i], low); !ok {
			return pair, false
		}
	}
	return pair, true
}

// checkOne requires that a setting, unless missing, is 1 in both directions.
func (s *settings) checkOne(key string) {
	if h, w := s.getPair(key, [2]int{1, 1}); h != 1 || w != 1 {
		s.refuse(key, "1")
	}
}

func (s *settings) getSamePadding() bool {
	padding := s.getText("padding", "valid")
	if padding != "same" && padding != "valid" {
		s.refuse("padding", "same and valid")
	}
	return padding == "same"
}

// checkLastAxis requires that the axis is the last one, the channels, of a value with so many axes
// in addition to the batch.
func (s *settings) checkLastAxis(axes int) {
	v := s.get("axis")
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	if v != nil && v != -1.0 && v != float64(axes) {
		s.refuse("axis", "the last axis, the channels")
	}
}

// maxListed limits a list of numbers in a setting, one per channel.
const maxListed = 1 << 16

// getPerChannel returns a number for each of n channels, from one for all or a list of n, possibly
// within lists of one.
func (s *settings) getPerChannel(key string, fallback float64, n int) []float64 {
	v := s.get(key)
	for range 4 {
		if list, ok := v.([]any); ok && len(list) == 1 {
			v = unwrapArray(list[0])
		}
	}
	all := make([]float64, n)
	switch v := v.(type) {
	case nil:
		for i := range all {
			all[i] = fallback
		}
		return all
	case float64:
		for i := range all {
			all[i] = v
		}
		return all
	case []any:
		if len(v) == n && n <= maxListed {
			ok := true
			for i := range v {
				x, isNumber := v[i].(float64)
				all[i] = x
				ok = ok && isNumber
			}
			if ok {
				return all
			}
		}
	}
	s.refuse(key, fmt.Sprintf("one number, or one for each of %d channels", n))
	return all
}

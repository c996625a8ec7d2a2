package keras

import (
	"encoding/json"
	"fmt"
	"strings"
)

// owner is the owner of a class or function in a file. Since 2.13 Keras writes the module and
// the registered name of each, except into HDF5 files. There a registered custom class has its
// package before its name, "mine>Dense". One that was not registered looks like Keras's own,
// also to Keras.
type owner struct {
	Module     json.RawMessage `json:"module"`
	Registered json.RawMessage `json:"registered_name"`
}

// isKnown reports whether the file names the owner.
func (o owner) isKnown() bool { return o.Module != nil }

// findForeign returns the owner of a class, "" if it is Keras's own: a class in one of Keras's
// modules that nobody else registered. told says that the file names the owners of all classes.
func (o owner) findForeign(class string, told bool) string {
	if told || o.isKnown() {
		var module string
		json.Unmarshal(o.Module, &module) // null is of no module
		if !isKerasModule(module) {
			return fmt.Sprintf("the module %s, registered as %s", orNull(o.Module), orNull(o.Registered))
		}
		var registered string
		notText := len(o.Registered) > 0 && json.Unmarshal(o.Registered, &registered) != nil
		if class == "CustomScaleLayer" && strings.HasSuffix(module, ".src.applications.inception_resnet_v2") &&
			registered == "Custom>"+class {
			return "" // Keras 2 registered it like a custom class
		}
		if notText || registered != "" && registered != class {
			return fmt.Sprintf("the module %q, registered as %s", module, o.Registered)
		}
	}
	if at := strings.LastIndexByte(class, '>'); at >= 0 {
		return fmt.Sprintf("the package %q", class[:at])
	}
	return ""
}

func orNull(text json.RawMessage) string {
	if text == nil {
		return "null"
	}
	return string(text)
}

// isKerasModule reports whether a module is Keras's: keras, keras.layers, keras.src.ops.numpy, and
// tf_keras's of the older generation.
func isKerasModule(module string) bool {
	root, _, _ := strings.Cut(module, ".")
	return root == "keras" || root == "tf_keras"
}

// isForeign does what findForeign does for a class or function among a layer's settings.
func isForeign(described map[string]any) bool {
	module, _ := described["module"].(string)
	class, _ := described["class_name"].(string)
	registered, _ := described["registered_name"].(string)
	return !isKerasModule(module) || described["registered_name"] != nil && registered != class
}

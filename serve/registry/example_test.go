package registry_test

import (
	"fmt"
	"log/slog"

	"garb/model"
	"garb/serve/engine"
	"garb/serve/observe"
	"garb/serve/registry"
)

// Open opens the models of a service. Each request acquires the version that answers it.
func ExampleOpen() {
	config := registry.DefaultConfig()
	config.Models = []registry.NamedModel{{Name: "clothing", Path: model.Clothing}}
	open := func(path string) (engine.Classifier, error) { return model.Open(path, model.Options{Threads: 1}) }
	metrics := observe.NewMetrics(func() float64 { return 0 })
	models, err := registry.Open(config, engine.DefaultConfig(), open, metrics, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer models.Close()
	v, release, err := models.Acquire("clothing", "", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	fmt.Println(v.Name, v.Number, len(v.Classes()), "classes")
	// Output: clothing 1 10 classes
}

// The rules for versions have the same form as the flags of garb serve.
func ExampleConfig_AddLabel() {
	config := registry.DefaultConfig()
	config.Folder = "/srv/models"
	for _, err := range []error{
		config.AddPolicy("latest:2"), config.AddLabel("clothing:stable=3"), config.AddLabel("clothing:canary=4"),
		config.AddCanary("clothing=10%"), config.AddShadow("clothing=5:50%"), config.Validate(),
	} {
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(config.Policies, config.Labels, config.Canaries, config.Shadows)
	// Output: map[:{2 []}] map[clothing:map[canary:4 stable:3]] map[clothing:0.1] map[clothing:{5 0.5}]
}

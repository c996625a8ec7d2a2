package listen_test

import (
	"context"
	"fmt"

	"garb/serve/listen"
)

// A service tells systemd when it is ready, shows that it is alive, and says that it stops. Without
// systemd, the Notifier is nil and does nothing.
func ExampleNotifier() {
	notifier, err := listen.NewNotifier()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	healthy := func(context.Context) error { return nil }
	go notifier.Watch(ctx, healthy, func(err error) { fmt.Println(err) })
	if err := notifier.Ready(); err != nil {
		fmt.Println(err)
	}
	cancel()
	if err := notifier.Stopping(); err != nil {
		fmt.Println(err)
	}
	// Output:
}

package queue_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"garb/queue"
)

// lengths is a Source that gives the name of a picture for its bytes.
type lengths struct{}

func (lengths) Read(_ context.Context, p queue.Picture) ([]byte, error) { return []byte(p.Name), nil }

// A program puts pictures, works on them and reads the results. Work may also run in other
// processes that open the same folder.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	q, err := queue.Open(ctx, queue.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()

	job := queue.Job{Name: "shop", Task: queue.Classify, Model: "clothing", Digest: "sha256:5d1c"}
	if err := q.Create(ctx, job); err != nil {
		log.Fatal(err)
	}
	pictures := func(yield func(queue.Picture, error) bool) {
		_ = yield(queue.Picture{Name: "a.jpg"}, nil) && yield(queue.Picture{Name: "bc.jpg"}, nil)
	}
	if _, err := q.Put(ctx, "shop", pictures, queue.PutOptions{}); err != nil {
		log.Fatal(err)
	}
	worker := queue.Worker{
		Digest: "sha256:5d1c",
		Source: lengths{},
		Compute: func(_ context.Context, _ queue.Picture, data []byte) (queue.Row, error) {
			line, err := json.Marshal(map[string]int{"bytes": len(data)})
			return queue.Row{Line: line}, err
		},
	}
	if _, err := q.Work(ctx, "shop", worker); err != nil {
		log.Fatal(err)
	}
	for row, err := range q.Results(ctx, "shop", false) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", row.Picture, row.Line)
	}
	// Output:
	// a.jpg {"bytes":5}
	// bc.jpg {"bytes":6}
}

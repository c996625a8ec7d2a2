package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"garb/dataset"
	"garb/store"
)

func ExampleStore_List() {
	folder, err := os.MkdirTemp("", "pictures")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	os.WriteFile(filepath.Join(folder, "shirt.jpg"), []byte("a picture"), 0o600)
	os.WriteFile(filepath.Join(folder, ".DS_Store"), nil, 0o600)
	s := store.New(store.Default())
	defer s.Close()
	var tally dataset.Tally
	for object, err := range s.List(context.Background(), folder, &tally) { // or s3://bucket/folder
		if err != nil {
			panic(err)
		}
		data, err := s.Read(context.Background(), object.URL, 1<<20)
		fmt.Println(filepath.Base(object.URL), object.Size, string(data), err)
	}
	fmt.Println(tally.Summary(1))
	// Output:
	// shirt.jpg 9 a picture <nil>
	// 1 picture used, 0 skipped, 1 ignored (1 hidden file)
}

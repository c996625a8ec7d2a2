// Command generate writes the Go code of a .proto file, as protoc with protoc-gen-go would;
// it needs neither.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	in := flag.String("proto", "", "the .proto file, which may import others in its folder")
	out := flag.String("out", "", "the Go file")
	flag.Parse()
	if err := run(*in, *out); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(in, out string) error {
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(
			&protocompile.SourceResolver{ImportPaths: []string{filepath.Dir(in)}}),
		SourceInfoMode: protocompile.SourceInfoStandard, // comments
	}
	name := filepath.Base(in)
	files, err := compiler.Compile(context.Background(), name)
	if err != nil {
		return err
	}
	plugin, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{name},
		ProtoFile:      appendFiles(nil, files[0]),
	})
	if err != nil {
		return err
	}
	internal_gengo.GenerateFile(plugin, plugin.FilesByPath[name])
	answer := plugin.Response()
	if answer.Error != nil {
		return errors.New(answer.GetError())
	}
	return os.WriteFile(out, []byte(answer.File[0].GetContent()), 0o644)
}

// appendFiles appends a file after those that it imports, each once.
func appendFiles(all []*descriptorpb.FileDescriptorProto,
	f protoreflect.FileDescriptor) []*descriptorpb.FileDescriptorProto {
	for _, known := range all {
		if known.GetName() == f.Path() {
			return all
		}
	}
	imports := f.Imports()
	for i := range imports.Len() {
		all = appendFiles(all, imports.Get(i).FileDescriptor)
	}
	return append(all, protoutil.ProtoFromFileDescriptor(f))
}

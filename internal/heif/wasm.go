package heif

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"fmt"
	"io"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"garb/internal/raster"
)

//go:generate sh update.sh

//go:embed wasm/avif.wasm.gz
var avifModule []byte

//go:embed wasm/heic.wasm.gz
var heicModule []byte

var (
	avifDecoder = &decoder{packed: avifModule}
	heicDecoder = &decoder{packed: heicModule}
)

// decoder is a WebAssembly module. It is compiled to machine code on first use and kept for the
// life of the process.
type decoder struct {
	packed []byte

	once     sync.Once
	ready    chan struct{} // closed when the fields below are set
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	err      error
}

// compile waits until the module is compiled or ctx ends. In the latter case compiling goes on for
// the next picture.
func (d *decoder) compile(ctx context.Context) error {
	d.once.Do(func() {
		d.ready = make(chan struct{})
		go func() {
			defer close(d.ready)
			d.err = d.prepare(context.Background())
		}()
	})
	select {
	case <-d.ready:
		return d.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *decoder) prepare(ctx context.Context) error {
	unpacker, err := gzip.NewReader(bytes.NewReader(d.packed))
	if err != nil {
		return err
	}
	module, err := io.ReadAll(unpacker)
	if err != nil {
		return err
	}
	d.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesThreads)) // dav1d has atomic operations
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, d.runtime); err != nil {
		return err
	}
	_, err = d.runtime.NewHostModuleBuilder("garb").NewFunctionBuilder().WithFunc(tick).Export("tick").Instantiate(ctx)
	if err != nil {
		return err
	}
	d.compiled, err = d.runtime.CompileModule(ctx, module)
	return err
}

// tickInterval is the number of passes of loops after which a module calls tick: a millisecond's at
// most.
const tickInterval = 100_000

// tick stops the module when its context has ended. Its call also lets Go's scheduler and garbage
// collector stop the goroutine, which they cannot do in a module's machine code.
func tick(ctx context.Context) uint32 {
	if err := ctx.Err(); err != nil {
		panic(err) // wazero returns it from Call
	}
	return tickInterval
}

// machine is one instance of a decoder with its own memory, for one picture or tile. Nothing that a
// picture makes the decoder do can reach outside it.
type machine struct {
	ctx    context.Context
	module api.Module
	memory *memory
}

// memory is a machine's memory, which does not grow beyond its limit.
type memory struct {
	data    []byte
	limit   uint64
	refused bool // more was asked for
}

// Reallocate implements experimental.LinearMemory.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	if size > uint64(cap(m.data)) {
		grown := make([]byte, size, min(max(size, 2*uint64(cap(m.data))), m.limit))
		copy(grown, m.data)
		m.data = grown
	}
	m.data = m.data[:size]
	return m.data
}

// Free implements experimental.LinearMemory.
func (m *memory) Free() { m.data = nil }

// minMemory is more than any module needs to start, maxMemory what WebAssembly can address.
const (
	minMemory = 4 << 20
	maxMemory = 1<<32 - 1
)

// start returns an instance with at most memoryBytes, including the module's own data.
func (d *decoder) start(ctx context.Context, memoryBytes int64) (*machine, error) {
	if err := d.compile(ctx); err != nil {
		return nil, err
	}
	m := &machine{ctx: ctx, memory: &memory{}}
	m.allow(memoryBytes)
	allocate := experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return m.memory })
	var err error
	m.module, err = d.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocate), d.compiled,
		wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, m.explain("starting", err)
	}
	return m, nil
}

// allow sets the machine's memory limit.
func (m *machine) allow(memoryBytes int64) {
	m.memory.limit = uint64(max(min(memoryBytes, maxMemory), minMemory))
}

// close gives the machine's memory back.
func (m *machine) close() { m.module.Close(context.Background()) }

// explain returns why the machine stopped: the context ended, the memory limit was reached, or else
// a trap, which is the picture's fault.
func (m *machine) explain(doing string, err error) error {
	if m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	if m.memory.refused {
		return m.memory.errFull()
	}
	if err == nil {
		return raster.Corruptf("%s failed", doing)
	}
	return raster.Corruptf("%s failed: the decoder stopped", doing)
}

func (m *memory) errFull() error {
	return fmt.Errorf("%w: decoding takes more than %d MiB of memory", raster.ErrTooLarge, m.limit>>20)
}

// call runs an exported function that returns one number.
func (m *machine) call(name string, args ...uint64) (result uint32, err error) {
	defer func() {
		if p := recover(); p != nil { // in wazero
			err = m.explain("decoding", fmt.Errorf("%v", p))
		}
	}()
	results, err := m.module.ExportedFunction(name).Call(m.ctx, args...)
	if err != nil {
		return 0, m.explain("decoding", err)
	}
	return uint32(results[0]), nil
}

// allocate reserves bytes of the machine's memory and copies data into them, unless nil.
func (m *machine) allocate(size int, data []byte) (at uint32, err error) {
	at, err = m.call("malloc", uint64(size))
	if err != nil {
		return 0, err
	}
	if at == 0 {
		return 0, m.memory.errFull()
	}
	if data != nil && !m.module.Memory().Write(at, data) {
		return 0, m.explain("decoding", nil)
	}
	return at, nil
}

// readNumbers reads count 32-bit numbers.
func (m *machine) readNumbers(at uint32, count int) ([]uint32, error) {
	out := make([]uint32, count)
	for i := range out {
		v, ok := m.module.Memory().ReadUint32Le(at + 4*uint32(i))
		if !ok {
			return nil, m.explain("decoding", nil)
		}
		out[i] = v
	}
	return out, nil
}

// view returns a part of the memory, valid until the next call.
func (m *machine) view(at uint32, size int) ([]byte, error) {
	b, ok := m.module.Memory().Read(at, uint32(size))
	if !ok {
		return nil, m.explain("decoding", nil)
	}
	return b, nil
}

// decode calls a module's decode, which returns 1 unless it fails.
func (m *machine) decode(args ...uint64) error {
	done, err := m.call("decode", args...)
	if err == nil && done == 0 {
		err = m.explain("decoding", nil)
	}
	return err
}

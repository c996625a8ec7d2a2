package heif

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"fmt"
	"io"
	"runtime"
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
	avifDecoder = &decoder{packed: avifModule, ticks: true}
	heicDecoder = &decoder{packed: heicModule, ticks: true}
)

// decoder is a WebAssembly module. It is compiled to machine code on first use and kept for the
// life of the process.
type decoder struct {
	packed []byte
	ticks  bool // the module's loops call garb.tick, see _generate

	once     sync.Once
	compiled chan struct{} // closed when the fields below are set
	runtime  wazero.Runtime
	module   wazero.CompiledModule
	err      error
}

// compile waits until the module is compiled or ctx ends. In the latter case compiling goes on for
// the next picture.
func (d *decoder) compile(ctx context.Context) error {
	d.once.Do(func() {
		d.compiled = make(chan struct{})
		go func() {
			defer close(d.compiled)
			d.err = d.load(context.Background())
		}()
	})
	select {
	case <-d.compiled:
		return d.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load compiles the module and what it imports.
func (d *decoder) load(ctx context.Context) error {
	unpacker, err := gzip.NewReader(bytes.NewReader(d.packed))
	if err != nil {
		return err
	}
	module, err := io.ReadAll(unpacker)
	if err != nil {
		return err
	}
	d.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesThreads). // dav1d has atomic operations
		WithCloseOnContextDone(!d.ticks))
	if _, err = wasi_snapshot_preview1.Instantiate(ctx, d.runtime); err != nil {
		return err
	}
	_, err = d.runtime.NewHostModuleBuilder("garb").NewFunctionBuilder().
		WithGoFunction(api.GoFunc(tick), nil, []api.ValueType{api.ValueTypeI32}).Export("tick").Instantiate(ctx)
	if err != nil {
		return err
	}
	d.module, err = d.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0)), module)
	return err
}

// machine is one instance of a decoder with its own memory, for one picture. Nothing that a picture
// makes the decoder do can reach outside it.
type machine struct {
	ctx    context.Context
	module api.Module
	memory *memory
}

// memory is what a machine computes in. It grows up to its limit.
type memory struct {
	bytes   []byte
	limit   int64
	refused bool // the machine asked for more than the limit
}

// Reallocate grows the memory to size bytes. It returns nil if that is more than the limit.
func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(m.limit) {
		m.refused = true
		return nil
	}
	if size > uint64(cap(m.bytes)) {
		grown := make([]byte, size, min(uint64(m.limit), max(size, uint64(cap(m.bytes))*3/2)))
		copy(grown, m.bytes)
		m.bytes = grown
	}
	m.bytes = m.bytes[:size]
	return m.bytes
}

// Free gives the memory back.
func (m *memory) Free() { m.bytes = nil }

// start returns an instance with at most memoryBytes, including the module's own data.
func (d *decoder) start(ctx context.Context, memoryBytes int64) (*machine, error) {
	return d.startReserved(ctx, memoryBytes, 0)
}

// startReserved does what start does, for a machine that is expected to take reservedBytes, so that its
// memory need not be moved as it grows.
func (d *decoder) startReserved(ctx context.Context, memoryBytes, reservedBytes int64) (*machine, error) {
	if err := d.compile(ctx); err != nil {
		return nil, err
	}
	m := &machine{ctx: ctx, memory: &memory{limit: memoryBytes, bytes: make([]byte, 0, reservedBytes)}}
	allocator := experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return m.memory })
	module, err := d.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocator), d.module,
		wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, m.explain("starting", err)
	}
	m.module = module
	return m, nil
}

// passesPerTick is the number of passes through loops after which a machine calls tick, about 1 ms.
const passesPerTick = 100_000

// tick stops the machine if the context has ended. wazero makes an error of the panic.
func tick(ctx context.Context, stack []uint64) {
	if err := ctx.Err(); err != nil {
		panic(err)
	}
	stack[0] = passesPerTick
}

// allow sets the machine's memory limit.
func (m *machine) allow(memoryBytes int64) { m.memory.limit = memoryBytes }

func (m *machine) close() { m.module.Close(context.Background()) }

// explain returns why the machine stopped: the context ended, the memory limit was reached, or else
// a trap, which is the picture's fault.
func (m *machine) explain(doing string, err error) error {
	if m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	if m.memory.refused {
		return m.tooLarge()
	}
	if err == nil {
		return raster.Corruptf("%s failed", doing)
	}
	return raster.Corruptf("%s failed: the decoder stopped", doing)
}

func (m *machine) tooLarge() error {
	return fmt.Errorf("%w: decoding takes more than %d MiB of memory", raster.ErrTooLarge, m.memory.limit>>20)
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
		return 0, m.tooLarge()
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

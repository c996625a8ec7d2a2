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
	compiled chan struct{} // closed when the fields below are set
	module   []byte
	cache    wazero.CompilationCache
	err      error
}

// compile waits until the module is compiled or ctx ends. In the latter case compiling goes on for
// the next picture.
func (d *decoder) compile(ctx context.Context) error {
	d.once.Do(func() {
		d.compiled = make(chan struct{})
		go func() {
			defer close(d.compiled)
			unpacker, err := gzip.NewReader(bytes.NewReader(d.packed))
			if err != nil {
				d.err = err
				return
			}
			if d.module, d.err = io.ReadAll(unpacker); d.err != nil {
				return
			}
			d.cache = wazero.NewCompilationCache()
			// The runtime is never closed, since that would drop the code from the cache.
			r := wazero.NewRuntimeWithConfig(context.Background(), d.config(1<<16))
			_, d.err = r.CompileModule(context.Background(), d.module)
		}()
	})
	select {
	case <-d.compiled:
		return d.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *decoder) config(pages uint32) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().
		WithCompilationCache(d.cache).
		WithMemoryLimitPages(pages).
		WithCloseOnContextDone(true)
}

// pageBytes is the unit in which WebAssembly's memory grows.
const pageBytes = 65536

// machine is one instance of a decoder with its own memory, for one picture. Nothing that a picture
// makes the decoder do can reach outside it.
type machine struct {
	ctx     context.Context
	runtime wazero.Runtime
	module  api.Module
	limit   uint32 // memory limit in bytes
}

// start returns an instance with at most memoryBytes, including the module's own data.
func (d *decoder) start(ctx context.Context, memoryBytes int64) (*machine, error) {
	if err := d.compile(ctx); err != nil {
		return nil, err
	}
	pages := uint32(min((memoryBytes+pageBytes-1)/pageBytes, 1<<16-1))
	m := &machine{ctx: ctx, runtime: wazero.NewRuntimeWithConfig(ctx, d.config(pages)), limit: pages * pageBytes}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, m.runtime); err != nil {
		return nil, m.explain("starting", err)
	}
	compiled, err := m.runtime.CompileModule(ctx, d.module)
	if err == nil {
		m.module, err = m.runtime.InstantiateModule(ctx, compiled,
			wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	}
	if err != nil {
		err = m.explain("starting", err)
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *machine) close() { m.runtime.Close(context.Background()) }

// explain returns why the machine stopped: the context ended, the memory limit was reached, or else
// a trap, which is the picture's fault.
func (m *machine) explain(doing string, err error) error {
	if m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	if m.isFull() {
		return fmt.Errorf("%w: decoding takes more than %d MiB of memory", raster.ErrTooLarge, m.limit>>20)
	}
	if err == nil {
		return raster.Corruptf("%s failed", doing)
	}
	return raster.Corruptf("%s failed: the decoder stopped", doing)
}

// isFull reports whether the memory has grown to within an eighth of its limit, so that another
// large block does not fit.
func (m *machine) isFull() bool {
	return m.module != nil && m.module.Memory() != nil && m.module.Memory().Size() > m.limit-m.limit/8
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
		return 0, fmt.Errorf("%w: decoding takes more than %d MiB of memory", raster.ErrTooLarge, m.limit>>20)
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

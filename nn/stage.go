package nn

// stage is one compiled layer, or several that are fused.
type stage struct {
	computation
	in, second, out int // values; second is added, multiplied or concatenated; -1: none
	at              int // the node that it computes, with those that are fused into it
	// A flat stage has no feature map as input or output.
	flat  bool
	tasks tasks // for one image
}

// computation is what a stage computes. Its shapes are those of one image.
type computation interface {
	// extent returns the work on n images; n is 1 except for flat stages and those that are
	// batched.
	extent(n int) extent
	// compute computes a piece of the output.
	compute(b *buffers, p piece)
	// backward backpropagates through b.n images: from the gradient of the output to those of the
	// inputs, and adds those of the weights to b.weights. It may overwrite the gradient of the
	// output.
	backward(b *backBuffers)
	// scratchLen and backScratchLen return the numbers of values that a thread needs as scratch,
	// forward and backward.
	scratchLen() int
	backScratchLen() int
}

// scratchless implements scratchLen and backScratchLen for computations that need no scratch.
type scratchless struct{}

func (scratchless) scratchLen() int     { return 0 }
func (scratchless) backScratchLen() int { return 0 }

// weighted is a computation with parameters.
type weighted interface {
	computation
	// load reads and packs the parameters, reusing the memory of an earlier load. Its errors are
	// *WeightError.
	load(w Weights) error
	// bind asks for the variables of the parameters, nil for those that do not exist, and returns
	// the number of values of their gradients, 0 if none is trained.
	bind(variable func(n *node, param int) *Variable) (gradientLen int)
	// prepareBackward prepares the loaded parameters for the gradient of the input.
	prepareBackward()
	// collect derives the variables' gradients from the sum over all images.
	collect(sum []float32)
}

// batched is a computation that takes all images of a part of a batch at once in training.
type batched interface{ takesBatch() }

// inputMasker is a computation that computes the gradient of its input in pieces and masks them by
// backBuffers.maskIn while they are in the cache.
type inputMasker interface{ masksInput() }

// extent says how much there is to compute.
type extent struct {
	// rows of the output, which threads can share, and panels of columns of a matrix product; 1 if
	// there is nothing to share.
	rows, panels int
	// work is the number of multiply-adds, or of multiply-adds that would take as long.
	work int
	// rowValues is the number of values of a product's left matrix that a row reads; 0: not a
	// product.
	rowValues int
}

// single is the extent of work for one thread.
var single = extent{rows: 1, panels: 1}

// piece is a part of a stage's extent: rows and panels from low to below high.
type piece struct{ low, high, panelLow, panelHigh int }

// buffers has the slices that a stage works on, for n images.
type buffers struct {
	n               int
	in, second, out []float32
	tasks           tasks
	scratch         []float32
	draw            dropoutSeed
}

// dropoutSeed determines what an image's dropout drops, the same forward and backward.
type dropoutSeed struct{ seed, place uint64 }

// tasks describes how a stage is divided into pieces, which threads take one after another.
type tasks struct {
	count        int
	rowTasks     int
	rowsEach     int
	panelsEach   int
	rows, panels int
}

const (
	// tileRows is a multiple of the micro-kernels' rows (14 with AVX-512, 6 with AVX2), so that
	// pieces of so many rows have no partial tiles.
	tileRows = 42
	// cacheValues limits the values of the left matrix that a task reads. It reads them once per
	// panel, so they should stay in a core's second-level cache.
	cacheValues = 48 << 10
	// tasksEach is the number of tasks per thread: enough that a thread that starts late does not
	// hold up the others.
	tasksEach = 4
	// smallTask is a number of multiply-adds that is not worth dividing: about ten microseconds.
	smallTask = 1 << 19
)

// divide divides a stage for n images into tasks.
func (s *stage) divide(n, threads int) tasks {
	e := s.extent(n)
	t := tasks{rows: e.rows, panels: e.panels}
	pieces := 1
	if threads > 1 {
		pieces = max(1, min(tasksEach*threads, e.work/smallTask))
	}
	t.rowsEach = (t.rows + pieces - 1) / pieces
	t.panelsEach = t.panels
	if e.rowValues > 0 {
		t.rowsEach = min(t.rowsEach, max(1, cacheValues/e.rowValues))
		t.rowsEach = min((t.rowsEach+tileRows-1)/tileRows*tileRows, t.rows)
	}
	t.rowTasks = (t.rows + t.rowsEach - 1) / t.rowsEach
	if columnTasks := min(t.panels, (pieces+t.rowTasks-1)/t.rowTasks); columnTasks > 1 {
		t.panelsEach = (t.panels + columnTasks - 1) / columnTasks
	}
	t.count = t.rowTasks * ((t.panels + t.panelsEach - 1) / t.panelsEach)
	return t
}

// computeTask computes one task.
func (s *stage) computeTask(b *buffers, task int) {
	t := &b.tasks
	row, panel := task%t.rowTasks*t.rowsEach, task/t.rowTasks*t.panelsEach
	s.compute(b, piece{row, min(row+t.rowsEach, t.rows), panel, min(panel+t.panelsEach, t.panels)})
}

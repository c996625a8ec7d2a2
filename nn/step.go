package nn

// step is one compiled layer, or several.
type step struct {
	computation
	in, second, out int // values; second is what is added, multiplied or joined, -1 without
	at              int // the node whose work it is; what is fused with it is a part of that
	// flat steps have neither a feature map in nor out.
	flat  bool
	tasks tasks // for one image
}

// computation is what a step computes. Its shapes are those of one image.
type computation interface {
	// extent is the work on n images; n is not 1 only for flat steps and those that are
	// together.
	extent(n int) extent
	// run computes a piece of the output.
	run(b *buffers, p piece)
	// back goes back through what run computed for b.n images: from the gradient of its
	// output to those of its inputs, and adds those of its weights to b.weights. The
	// gradient of the output may be overwritten.
	back(b *backBuffers)
	// scratchLen and backScratchLen are the numbers of values that a thread needs while it
	// works, forward and back.
	scratchLen() int
	backScratchLen() int
}

// plain has what computations without weights and scratch have in common.
type plain struct{}

func (plain) scratchLen() int     { return 0 }
func (plain) backScratchLen() int { return 0 }

// weighted is a computation with parameters.
type weighted interface {
	computation
	// load reads and packs the parameters, into the memory of an earlier load if there was
	// one. It sets errors of type *WeightError.
	load(w Weights) error
	// adopt tells which variables the parameters are, nil for those that are not there, and
	// returns how many values their gradients have, 0 if none is trained.
	adopt(variable func(n *node, param int) *Variable) (gradientLen int)
	// prepareBack readies the loaded parameters for the way back to the input.
	prepareBack()
	// collect derives the variables' gradients from what back has summed over all images.
	collect(sum []float32)
}

// together is a computation that takes all images of a part of a batch at once in training.
type together interface{ together() }

// inputMasker is a computation that goes back through its input in pieces, and masks their
// gradient by backBuffers.maskIn while they are in the cache.
type inputMasker interface{ masksInput() }

// extent is how much there is to compute.
type extent struct {
	// rows of the output, which threads can share, and for matrix products groups of columns
	// of it too; 1 if there is nothing to share.
	rows, panels int
	// work is the number of multiply-adds, or of those that would take as long.
	work int
	// rowValues is how many values of the left matrix of a product a row reads; 0: no product.
	rowValues int
}

// single is the extent of what one thread does alone.
var single = extent{rows: 1, panels: 1}

// piece is a part of a step's extent: rows and panels from low to below high.
type piece struct{ low, high, panelLow, panelHigh int }

// buffers are the slices that a step works on: those of n images.
type buffers struct {
	n               int
	in, second, out []float32
	tasks           tasks
	scratch         []float32
	draw            draw
}

// draw says what an image's dropout draws: the same forward and back.
type draw struct{ seed, place uint64 }

// tasks is how a step is cut into pieces that threads take one after another.
type tasks struct {
	count        int
	rowTasks     int
	rowsEach     int
	panelsEach   int
	rows, panels int
}

const (
	// tileRows is a multiple of the micro-kernels' rows (14 with AVX-512, 6 with
	// AVX2): cuts at its multiples leave no partial tile in between.
	tileRows = 42
	// cacheValues is how much of the left matrix a task reads: it is read once
	// for each panel, so it should stay in a core's second-level cache.
	cacheValues = 48 << 10
	// tasksEach is the number of tasks a thread gets: enough that one who starts
	// late or is slowed down does not hold up the others.
	tasksEach = 4
	// smallTask is a number of multiply-adds that is not worth cutting: about
	// ten microseconds.
	smallTask = 1 << 19
)

// cut returns the pieces of a step for n images.
func (s *step) cut(n, threads int) tasks {
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

// do computes one task.
func (s *step) do(b *buffers, task int) {
	t := &b.tasks
	row, panel := task%t.rowTasks*t.rowsEach, task/t.rowTasks*t.panelsEach
	s.run(b, piece{row, min(row+t.rowsEach, t.rows), panel, min(panel+t.panelsEach, t.panels)})
}

package main

// request is a line of JSON on a worker's standard input. The worker answers it with a line of JSON on
// its standard output, and uses no core until the next one.
type request struct {
	// Op says what to do:
	//   prepare  load the subject, and answer with the worker's name and version
	//   output   run the subject once, and answer with its output
	//   time     run the subject Repeats times, and answer with each run's time
	//   convert  write the network of the Keras file From to File as ONNX
	//   export   write the weights of Architecture to File as float32 safetensors
	//   train    train the subject for a step, and answer with the number of its Parameters
	//   size     answer with the bytes of all that a page loads, as Brotli
	//   draw     draw the two pictures into the folder File
	//   encode   write the picture From to File, in the format of its name, with as many megapixels as
	//            the name says
	Op           string   `json:"op"`
	Subject      *subject `json:"subject,omitempty"`
	Repeats      int      `json:"repeats,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	From         string   `json:"from,omitempty"`
	File         string   `json:"file,omitempty"`
}

// subject is work that two workers do in the same way: to run a network on a batch, to train it for a
// step, or to make a network's input from an encoded picture.
type subject struct {
	// Peer is what garb is compared with: onnxruntime, openvino, keras, pytorch, pillow, simplejpeg or
	// opencv.
	Peer string `json:"peer"`

	// Train asks for a training step of all layers, as in peers/training.py. Its output is the loss
	// before the step.
	Train bool `json:"train,omitempty"`

	// The library whose network peers/networks.py writes, and the network's name.
	Library string `json:"library,omitempty"`
	Network string `json:"network,omitempty"`
	// Exporter is the one that writes the file, where the library has several. Trainable asks also
	// whether garb can train the network.
	Exporter  string `json:"exporter,omitempty"`
	Trainable bool   `json:"trainable,omitempty"`
	File      string `json:"file,omitempty"`

	// For networks. Threads is the number of cores that they may use.
	Architecture string `json:"architecture,omitempty"`
	Weights      string `json:"weights,omitempty"` // a safetensors file
	Input        string `json:"input,omitempty"`   // a file of little-endian float32 [n h w c]
	Batch        int    `json:"batch,omitempty"`
	Threads      int    `json:"threads,omitempty"`

	// Picture is the file of a picture, which is resized to Side × Side pixels with a bicubic filter,
	// without regard to its proportions. With a Side of 0 it is decoded whole, and the output is the
	// mean level of each row. Loose says that the peer resizes by another filter, so that the outputs
	// differ.
	Picture string `json:"picture,omitempty"`
	Loose   bool   `json:"loose,omitempty"`
	// Decoded says that the picture is decoded before, so that only its resizing is measured.
	Decoded bool `json:"decoded,omitempty"`

	Side int `json:"side"`
}

// reply has the fields that were requested, or the reason why there are none.
type reply struct {
	Name    string    `json:"name,omitempty"`
	Output  []float32 `json:"output,omitempty"` // a network's output, or levels in 0..255
	Seconds []float64 `json:"seconds,omitempty"`

	Parameters int `json:"parameters,omitempty"`

	// Absent says that what the subject needs is not installed, and how to get it.
	Absent string `json:"absent,omitempty"`
	Error  string `json:"error,omitempty"`
}

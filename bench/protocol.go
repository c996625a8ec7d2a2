package main

// A worker obeys one request a line of its standard input, and answers each with
// one line on its standard output, both JSON. Between requests it waits and uses
// no core.
type request struct {
	// Op is what to do:
	//   prepare  load the subject, and answer with the worker's name and version
	//   output   run the subject once, and answer with what came out
	//   time     run the subject Repeats times, and answer with each run's time
	//   convert  write the network of the Keras file From to File as ONNX
	//   export   write the weights of Architecture to File as float32 safetensors
	//   train    take a step of training with the subject, and answer with its Parameters
	//   draw     draw the two pictures into the folder File
	Op           string   `json:"op"`
	Subject      *subject `json:"subject,omitempty"`
	Repeats      int      `json:"repeats,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	From         string   `json:"from,omitempty"`
	File         string   `json:"file,omitempty"`
}

// subject is what two workers do the same way: run a network on a batch, train it by a
// step, or make a network's input of an encoded picture.
type subject struct {
	Peer string `json:"peer"` // whom garb is compared with: onnxruntime, openvino, keras, pytorch, pillow

	// Train is a training step of all layers, as peers/training.py says; its output is
	// the loss before it.
	Train bool `json:"train,omitempty"`

	// Of a network that peers/networks.py makes, by Library, and its file.
	Library string `json:"library,omitempty"`
	Network string `json:"network,omitempty"`
	// Exporter is empty, or which of several wrote the file; Trainable asks whether garb can
	// train it, too.
	Exporter  string `json:"exporter,omitempty"`
	Trainable bool   `json:"trainable,omitempty"`
	File      string `json:"file,omitempty"`

	// Of a network. Threads is the number of cores that it may use.
	Architecture string `json:"architecture,omitempty"`
	Weights      string `json:"weights,omitempty"` // safetensors file
	Input        string `json:"input,omitempty"`   // file of little-endian float32 [n h w c]
	Batch        int    `json:"batch,omitempty"`
	Threads      int    `json:"threads,omitempty"`

	// Of a picture: its file. It is resized, stretched by a bicubic filter, to
	// Side × Side pixels.
	Picture string `json:"picture,omitempty"`

	Side int `json:"side"`
}

// reply has the fields that the request asked for, or says why there are none.
type reply struct {
	Name    string    `json:"name,omitempty"`
	Output  []float32 `json:"output,omitempty"` // a network's output, or levels in 0..255
	Seconds []float64 `json:"seconds,omitempty"`

	Parameters int `json:"parameters,omitempty"`

	// Absent says that what the subject needs is not installed, and how to get it.
	Absent string `json:"absent,omitempty"`
	Error  string `json:"error,omitempty"`
}

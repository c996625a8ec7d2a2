package tensorflow_test

import (
	"errors"
	"fmt"

	"garb/serve/tensorflow"
	pb "garb/serve/tensorflowpb"
)

// A single element stands for all elements of the shape.
func ExampleDecodeFloats() {
	shape, values, err := tensorflow.DecodeFloats(&pb.TensorProto{
		Dtype: pb.DataType_DT_UINT8, TensorShape: tensorflow.EncodeShape(1, 3), IntVal: []int32{255},
	}, 1000)
	fmt.Println(shape, values, err)
	// Output: [1 3] [255 255 255] <nil>
}

func ExampleTensorError() {
	_, _, err := tensorflow.DecodeFloats(tensorflow.EncodeFloats([]float32{1, 2, 3}, 3), 2)
	var refused *tensorflow.TensorError
	fmt.Println(errors.As(err, &refused), err)
	// Output: true the tensor cannot be read: it has more than 2 elements
}

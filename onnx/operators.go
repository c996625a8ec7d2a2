package onnx

import (
	"garb/nn"
)

// operators are those that are read. Each function gives the value of the first output.
var operators map[string]func(*call) value

func init() {
	operators = map[string]func(*call) value{
		"Conv": (*call).conv, "Gemm": (*call).gemm, "MatMul": (*call).matMul,
		"BatchNormalization": (*call).batchNorm,
		"MaxPool":            (*call).maxPool, "AveragePool": (*call).averagePool,
		"GlobalAveragePool": global(nn.OpGlobalAveragePool), "GlobalMaxPool": global(nn.OpGlobalMaxPool),
		"ReduceMean": reduce(nn.OpGlobalAveragePool), "ReduceMax": reduce(nn.OpGlobalMaxPool),

		"Relu": function(nn.OpReLU), "Sigmoid": function(nn.OpSigmoid), "Tanh": function(nn.OpTanh),
		"LeakyRelu": (*call).leakyReLU, "PRelu": (*call).pReLU, "Clip": (*call).clip,
		"HardSigmoid": (*call).hardSigmoid, "HardSwish": (*call).hardSwish, "Softmax": (*call).softmax,

		"Add": (*call).add, "Sub": (*call).sub, "Mul": (*call).mul, "Div": (*call).div,
		"Concat": (*call).concat, "Pad": (*call).pad, "Dropout": (*call).dropout,

		"Identity": (*call).identity, "Cast": (*call).cast, "Constant": (*call).constantNode,
		"Transpose": (*call).transpose, "Reshape": (*call).reshape, "Flatten": (*call).flatten,
		"Squeeze": (*call).squeeze, "Unsqueeze": (*call).unsqueeze,
		"Shape": (*call).shape, "Gather": (*call).gather, "Slice": (*call).slice,
		"ConstantOfShape": (*call).constantOfShape, "DequantizeLinear": (*call).dequantizeLinear,
	}
}

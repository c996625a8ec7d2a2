package onnx

import (
	"garb/nn"
)

// operator gives the value of a node's first output. Its errors are *FormatError and
// *UnknownOperatorError.
type operator func(*call) (value, error)

// operators are those that are read where an input depends on the picture; folds has those of
// constants alone.
var operators map[string]operator

func init() {
	operators = map[string]operator{
		"Conv": (*call).conv, "Gemm": (*call).gemm, "MatMul": (*call).matMul,
		"BatchNormalization": (*call).batchNorm, "LayerNormalization": (*call).layerNorm,
		"GroupNormalization": (*call).groupNorm, "InstanceNormalization": (*call).instanceNorm,
		"MaxPool": (*call).maxPool, "AveragePool": (*call).averagePool,
		"GlobalAveragePool": global(nn.OpGlobalAveragePool), "GlobalMaxPool": global(nn.OpGlobalMaxPool),
		"ReduceMean": reduce(nn.OpGlobalAveragePool), "ReduceMax": reduce(nn.OpGlobalMaxPool),

		"Relu": function(nn.OpReLU), "Sigmoid": function(nn.OpSigmoid), "Tanh": function(nn.OpTanh),
		"Elu": (*call).elu, "Selu": (*call).selu, "Gelu": (*call).gelu, "Erf": function(nn.OpErf),
		"Softplus": function(nn.OpSoftplus), "Mish": function(nn.OpMish),
		"LeakyRelu": (*call).leakyReLU, "PRelu": (*call).pReLU, "Clip": (*call).clip,
		"HardSigmoid": (*call).hardSigmoid, "HardSwish": function(nn.OpHardSwish), "Softmax": (*call).softmax,

		"Add": (*call).add, "Sub": (*call).sub, "Mul": (*call).mul, "Div": (*call).div,
		"Max": (*call).max, "Min": (*call).min, "Pow": (*call).pow,
		"Greater": (*call).greater, "Where": (*call).where,
		"Concat": (*call).concat, "Pad": (*call).pad, "Dropout": (*call).dropout,
		"Split": (*call).split, "Slice": (*call).slice, "Gather": (*call).gather, "Resize": (*call).resize,
		"Upsample": (*call).upsample,

		"Identity": (*call).identity, "Cast": (*call).cast, "Constant": (*call).constantNode,
		"Transpose": (*call).transpose, "Reshape": (*call).reshape, "Flatten": (*call).flatten,
		"Squeeze": (*call).squeeze, "Unsqueeze": (*call).unsqueeze,
		"Shape": (*call).shape, "Expand": (*call).expand, "DequantizeLinear": (*call).dequantizeLinear,
	}
}

// withoutEffect are the attributes that change no answer, with the reason. Any other that
// an operator does not ask for is an error. Some have no effect in some cases only: their
// operators say so, by ignore.
var withoutEffect = map[string]map[string]string{
	"BatchNormalization": {"momentum": "of training"},
	"Dropout":            {"seed": "of training"},
	"MaxPool":            {"storage_order": "of the second output, which garb lacks"},
	"Cast": {
		"saturate":   "of types of 8 bits, which garb lacks",
		"round_mode": "of types of 8 bits, which garb lacks",
	},
	"DequantizeLinear": {"output_dtype": "answers are computed in float32"},
}

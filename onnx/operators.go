package onnx

import (
	"garb/nn"
)

// operator computes the value of a node's first output. Its errors are *FormatError and
// *UnknownOperatorError.
type operator func(*call) (value, error)

// operators has the operators of values that depend on the picture; folds has those of constants
// alone.
var operators map[string]operator

func init() {
	operators = map[string]operator{
		"Conv": (*call).readConv, "Gemm": (*call).readGemm, "MatMul": (*call).readMatMul,
		"BatchNormalization": (*call).readBatchNorm, "LayerNormalization": (*call).readLayerNorm,
		"GroupNormalization": (*call).readGroupNorm, "InstanceNormalization": (*call).readInstanceNorm,
		"MaxPool": (*call).readMaxPool, "AveragePool": (*call).readAveragePool,
		"GlobalAveragePool": readGlobal(nn.OpGlobalAveragePool), "GlobalMaxPool": readGlobal(nn.OpGlobalMaxPool),
		"ReduceMean": readReduce(nn.OpGlobalAveragePool), "ReduceMax": readReduce(nn.OpGlobalMaxPool),

		"Relu": readFunction(nn.OpReLU), "Sigmoid": readFunction(nn.OpSigmoid), "Tanh": readFunction(nn.OpTanh),
		"Elu": (*call).readELU, "Selu": (*call).readSELU, "Gelu": (*call).readGELU, "Erf": readFunction(nn.OpErf),
		"Softplus": readFunction(nn.OpSoftplus), "Mish": readFunction(nn.OpMish),
		"LeakyRelu": (*call).readLeakyReLU, "PRelu": (*call).readPReLU, "Clip": (*call).readClip,
		"HardSigmoid": (*call).readHardSigmoid, "HardSwish": readFunction(nn.OpHardSwish),
		"Softmax": (*call).readSoftmax,

		"Add": (*call).readAdd, "Sub": (*call).readSub, "Mul": (*call).readMul, "Div": (*call).readDiv,
		"Max": (*call).readMax, "Min": (*call).readMin, "Pow": (*call).readPow,
		"Greater": (*call).readGreater, "Where": (*call).readWhere,
		"Concat": (*call).readConcat, "Pad": (*call).readPad, "Dropout": (*call).readDropout,
		"Split": (*call).readSplit, "Slice": (*call).readSlice, "Gather": (*call).readGather,
		"Resize": (*call).readResize, "Upsample": (*call).readUpsample,

		"Identity": (*call).readIdentity, "Cast": (*call).readCast, "Constant": (*call).readConstant,
		"Transpose": (*call).readTranspose, "Reshape": (*call).readReshape, "Flatten": (*call).readFlatten,
		"Squeeze": (*call).readSqueeze, "Unsqueeze": (*call).readUnsqueeze,
		"Shape": (*call).readShape, "Expand": (*call).readExpand, "DequantizeLinear": (*call).readDequantizeLinear,
	}
}

// ignoredAttributes has the attributes that change no answer, with the reason. Any other that an
// operator does not read is an error. Operators that ignore an attribute in some cases only call
// ignore.
var ignoredAttributes = map[string]map[string]string{
	"BatchNormalization": {"momentum": "for training"},
	"Dropout":            {"seed": "for training"},
	"MaxPool":            {"storage_order": "for the second output, which garb does not support"},
	"Cast": {
		"saturate":   "for types of 8 bits, which garb does not support",
		"round_mode": "for types of 8 bits, which garb does not support",
	},
	"DequantizeLinear": {"output_dtype": "answers are computed in float32"},
}

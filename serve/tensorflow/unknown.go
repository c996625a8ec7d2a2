package tensorflow

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"garb/serve/request"
)

// ignoredFields are the numbers of fields that garb does not know and may ignore, by the messages that have
// them.
var ignoredFields = map[protoreflect.FullName]protowire.Number{
	"tensorflow.serving.PredictRequest": 6, // client_id, for the statistics of a server
}

// checkKnown refuses a message with fields that garb does not know, in it or in the messages inside it: they
// would change the meaning of a request.
func checkKnown(m protoreflect.Message) (err error) {
	name := m.Descriptor().FullName()
	for unknown := m.GetUnknown(); len(unknown) > 0; {
		number, _, n := protowire.ConsumeField(unknown)
		if n < 0 {
			return fmt.Errorf("%w: %w", request.ErrInvalid, protowire.ParseError(n))
		}
		if number != ignoredFields[name] {
			return fmt.Errorf("%w: field %d of %s is not supported", request.ErrInvalid, number, name)
		}
		unknown = unknown[n:]
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = checkKnown(v.Message())
				return err == nil
			})
		case field.IsMap() || field.Message() == nil:
		case field.IsList():
			for i := 0; i < value.List().Len() && err == nil; i++ {
				err = checkKnown(value.List().Get(i).Message())
			}
		default:
			err = checkKnown(value.Message())
		}
		return err == nil
	})
	return err
}

//! The ONNX protobuf messages and fields that a network needs, with the names and tags of
//! `onnx.proto`.

use prost::Message;

/// The value of [`TensorProto::data_type`] for 32-bit floats.
pub const FLOAT: i32 = 1;
/// The value of [`TensorProto::data_type`] for 64-bit integers.
pub const INT64: i32 = 7;

/// The value of [`AttributeProto::type`] for an integer.
pub const INT: i32 = 2;
/// The value of [`AttributeProto::type`] for a list of integers.
pub const INTS: i32 = 7;
/// The value of [`AttributeProto::type`] for a list of strings.
pub const STRINGS: i32 = 8;

/// The whole file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// The version of the file format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The program that wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The version of that program.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The computation.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// The operator sets that the graph uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Metadata for the programs that read the file.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A version of an operator set.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Empty for the standard ONNX operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The version of the operator set.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A metadata entry.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    /// The name of the entry.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value of the entry as text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A computation.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// The nodes in an order in which they can run.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// The name of the graph.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// The inputs of the graph.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// The outputs of the graph.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// An application of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of the input values; an empty name stands for an optional input that is not used.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the output values; an empty name stands for an output that is not used.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// The name of the node, for messages.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The name of the operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// The constants of the operator.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

/// A named constant of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// The name of the attribute.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value if it is an integer.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// The value if it is a list of integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// The value if it is a list of strings.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// The type of the value: [`INT`], [`INTS`] or [`STRINGS`].
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl AttributeProto {
    /// An attribute that is an integer.
    pub fn integer(name: &str, value: i64) -> Self {
        Self {
            name: name.to_owned(),
            i: Some(value),
            r#type: INT,
            ..Self::default()
        }
    }

    /// An attribute that is a list of integers.
    pub fn integers(name: &str, values: &[i64]) -> Self {
        Self {
            name: name.to_owned(),
            ints: values.to_vec(),
            r#type: INTS,
            ..Self::default()
        }
    }

    /// An attribute that is a list of strings.
    pub fn strings(name: &str, values: &[&str]) -> Self {
        let strings = values
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect();
        Self {
            name: name.to_owned(),
            strings,
            r#type: STRINGS,
            ..Self::default()
        }
    }
}

/// A constant tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// The shape; empty for a scalar.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// [`FLOAT`] or [`INT64`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// The name of the value in the graph.
    #[prost(string, tag = "8")]
    pub name: String,
    /// The elements, row by row, little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// An input or output of the graph.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// The name of the value.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The type of the value.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// The type of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// Element type and shape.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Element type and shape; `TypeProto.Tensor` in `onnx.proto`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// [`FLOAT`] or [`INT64`].
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// The shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// One entry for each dimension.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// A size or a name, not both; `TensorShapeProto.Dimension` in `onnx.proto`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DimensionProto {
    /// A fixed size.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// The name of a size that can differ between calls.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

impl DimensionProto {
    /// A fixed size.
    pub fn fixed(size: usize) -> Self {
        Self {
            dim_value: Some(size as i64),
            dim_param: None,
        }
    }

    /// A size that can differ between calls.
    pub fn named(name: &str) -> Self {
        Self {
            dim_value: None,
            dim_param: Some(name.to_owned()),
        }
    }
}

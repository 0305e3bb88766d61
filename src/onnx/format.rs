//! The part of ONNX's protobuf messages that a network needs, under the names and numbers of
//! `onnx.proto`.

use prost::Message;

/// The number of 32-bit floats in [`Tensor::data_type`].
pub const FLOAT: i32 = 1;
/// The number of 64-bit integers in [`Tensor::data_type`].
pub const INT64: i32 = 7;

/// `ModelProto`: the whole file.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// The version of the format itself.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The program that wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The computation.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// The sets of operators that the graph uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    /// What programs want to know of the model beside the graph.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Property>,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    /// Empty for ONNX's own operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The set's version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Property {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value as text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `GraphProto`: nodes in an order in which they can run.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// The computation.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// The graph's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    /// What the caller gives.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// What the caller gets.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

/// `NodeProto`: one operator.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// Names of the values it takes; empty for one that is left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the values it makes; empty for one that is not wanted.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its own name, for messages.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its constants.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}

/// `AttributeProto`: a named constant of an operator.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// The operator's name for it.
    #[prost(string, tag = "1")]
    pub name: String,
    /// An integer.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// Integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Texts.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// Which of the above it is: 2, 7 or 8.
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

impl Attribute {
    /// An integer.
    pub fn integer(name: &str, value: i64) -> Self {
        Self {
            name: name.to_owned(),
            i: Some(value),
            kind: 2,
            ..Self::default()
        }
    }

    /// Integers.
    pub fn integers(name: &str, values: &[i64]) -> Self {
        Self {
            name: name.to_owned(),
            ints: values.to_vec(),
            kind: 7,
            ..Self::default()
        }
    }

    /// Texts.
    pub fn texts(name: &str, values: &[&str]) -> Self {
        let strings = values
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect();
        Self {
            name: name.to_owned(),
            strings,
            kind: 8,
            ..Self::default()
        }
    }
}

/// `TensorProto`: a constant.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// The shape; empty for a lone number.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// [`FLOAT`] or [`INT64`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// The name by which nodes take it.
    #[prost(string, tag = "8")]
    pub name: String,
    /// The elements, row by row, little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// `ValueInfoProto`: an input or output of the graph.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[prost(message, optional, tag = "2")]
    pub kind: Option<ValueType>,
}

/// `TypeProto` of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct ValueType {
    /// Element type and shape.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// [`FLOAT`] or [`INT64`].
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// The shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// One entry a dimension.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`: a number or a name, not both.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Dimension {
    /// A size that is fixed.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// The name of a size that each call chooses.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

impl Dimension {
    /// A fixed size.
    pub fn fixed(size: usize) -> Self {
        Self {
            dim_value: Some(size as i64),
            dim_param: None,
        }
    }

    /// A size that each call chooses.
    pub fn named(name: &str) -> Self {
        Self {
            dim_value: None,
            dim_param: Some(name.to_owned()),
        }
    }
}

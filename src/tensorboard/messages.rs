//! The protobuf messages of event files and the fields that Elman writes, with the numbers of
//! `event.proto`, `summary.proto` and `tensor.proto` in TensorBoard's folder `compat/proto`.

use prost::Message;

/// A record of an event file.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// When it was written, in seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// The horizontal position.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// The version of the format, in the first event of a file.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    /// Values.
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
    /// The start of a run.
    #[prost(message, optional, tag = "7")]
    pub session_log: Option<SessionLog>,
}

/// The start of a run: events of earlier files at its step and later do not count.
#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    /// [`SessionLog::START`].
    #[prost(int32, tag = "1")]
    pub status: i32,
}

impl SessionLog {
    /// The run starts.
    pub const START: i32 = 1;
}

/// Values at a step.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A value: one of a number, a histogram and a text.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// Its name; the part before a slash is a group.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// A number.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
    /// A histogram.
    #[prost(message, optional, tag = "5")]
    pub histogram: Option<Histogram>,
    /// A text.
    #[prost(message, optional, tag = "8")]
    pub tensor: Option<StringTensor>,
    /// What shows a tensor.
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
}

/// The distribution of some values.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// The smallest value.
    #[prost(double, tag = "1")]
    pub min: f64,
    /// The largest value.
    #[prost(double, tag = "2")]
    pub max: f64,
    /// The number of values.
    #[prost(double, tag = "3")]
    pub number: f64,
    /// Their sum.
    #[prost(double, tag = "4")]
    pub sum: f64,
    /// The sum of their squares.
    #[prost(double, tag = "5")]
    pub sum_of_squares: f64,
    /// The upper end of each bucket.
    #[prost(double, repeated, tag = "6")]
    pub bucket_limits: Vec<f64>,
    /// The number of values in each bucket.
    #[prost(double, repeated, tag = "7")]
    pub buckets: Vec<f64>,
}

/// A tensor of texts.
#[derive(Clone, PartialEq, Message)]
pub struct StringTensor {
    /// [`StringTensor::STRING`].
    #[prost(int32, tag = "1")]
    pub data_type: i32,
    /// The sizes of its dimensions.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
    /// Its elements.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub strings: Vec<Vec<u8>>,
}

impl StringTensor {
    /// The type of texts.
    pub const STRING: i32 = 7;
}

/// The sizes of a tensor's dimensions.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// The dimensions.
    #[prost(message, repeated, tag = "2")]
    pub dimensions: Vec<Dimension>,
}

/// A dimension of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// Its size.
    #[prost(int64, tag = "1")]
    pub size: i64,
}

/// How a tensor is shown.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// The part of TensorBoard that shows it.
    #[prost(message, optional, tag = "1")]
    pub plugin_data: Option<PluginData>,
}

/// A part of TensorBoard.
#[derive(Clone, PartialEq, Message)]
pub struct PluginData {
    /// Its name.
    #[prost(string, tag = "1")]
    pub plugin_name: String,
}

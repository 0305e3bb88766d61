//! Event files for [TensorBoard](https://www.tensorflow.org/tensorboard).
//!
//! In: tagged numbers, texts and sets of values, each at a step. Out: a file of records in the
//! format of TensorFlow's `TFRecord`, each with an `Event` message, that TensorBoard reads while it
//! grows. The module `messages` has the messages, `histogram` the counts of values.

mod histogram;
mod messages;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use self::messages::{Dimension, Event, PluginData, SessionLog, Shape, StringTensor};
use self::messages::{Metadata, Summary, Value};
use crate::error::{Error, Result};

/// CRC-32C, which `TFRecord` has.
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// The version in the first event of a file.
const FILE_VERSION: &str = "brain.Event:2";

/// A growing event file. Each event is written at once.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
}

impl EventWriter {
    /// Creates a file in `directory`, which is created where it does not exist, beside the files of
    /// earlier runs. TensorBoard drops the events of those at `first_step` and later: a resumed run
    /// repeats them.
    ///
    /// # Errors
    /// If the directory or the file cannot be created or written.
    pub fn create(directory: &Path, first_step: u64) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        let (file, path) = create_file(directory)?;
        let mut writer = Self { file, path };
        writer.write(Event {
            file_version: Some(FILE_VERSION.to_owned()),
            ..Event::default()
        })?;
        writer.write(Event {
            step: step_number(first_step),
            session_log: Some(SessionLog {
                status: SessionLog::START,
            }),
            ..Event::default()
        })?;
        Ok(writer)
    }

    /// Adds numbers, each with its tag.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<()> {
        let values = scalars.iter().map(|&(tag, value)| Value {
            tag: tag.to_owned(),
            // TensorBoard's numbers have single precision.
            simple_value: Some(value as f32),
            ..Value::default()
        });
        self.summary(step, values.collect())
    }

    /// Adds a text, which TensorBoard shows as Markdown.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn text(&mut self, step: u64, tag: &str, text: &str) -> Result<()> {
        let plugin = PluginData {
            plugin_name: "text".to_owned(),
        };
        let value = Value {
            tag: tag.to_owned(),
            metadata: Some(Metadata {
                plugin_data: Some(plugin),
            }),
            tensor: Some(StringTensor {
                data_type: StringTensor::STRING,
                shape: Some(Shape {
                    dimensions: vec![Dimension { size: 1 }],
                }),
                strings: vec![text.as_bytes().to_vec()],
            }),
            ..Value::default()
        };
        self.summary(step, vec![value])
    }

    /// Adds the distribution of the finite ones of some values; nothing if there are none.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn histogram(&mut self, step: u64, tag: &str, values: &[f32]) -> Result<()> {
        let Some(histogram) = histogram::of(values) else {
            return Ok(());
        };
        let value = Value {
            tag: tag.to_owned(),
            histogram: Some(histogram),
            ..Value::default()
        };
        self.summary(step, vec![value])
    }

    fn summary(&mut self, step: u64, values: Vec<Value>) -> Result<()> {
        self.write(Event {
            step: step_number(step),
            summary: Some(Summary { values }),
            ..Event::default()
        })
    }

    fn write(&mut self, event: Event) -> Result<()> {
        let event = Event {
            wall_time: seconds_since_epoch(),
            ..event
        };
        self.file
            .write_all(&record(&event.encode_to_vec()))
            .map_err(Error::io("write", &self.path))
    }
}

/// A new file. Runs that start in the same second have different names.
fn create_file(directory: &Path) -> Result<(File, PathBuf)> {
    let (seconds, process) = (seconds_since_epoch() as u64, std::process::id());
    let mut number = 0;
    loop {
        let name = format!("events.out.tfevents.{seconds:010}.elman.{process}.{number}");
        let path = directory.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(Error::io("create", &path)(error)),
        }
    }
}

/// A step as protobuf has it.
fn step_number(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

fn seconds_since_epoch() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 has no better value.
    now.map_or(0.0, |duration| duration.as_secs_f64())
}

/// A record: the length of the data, the length's checksum, the data, their checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_checksum(data).to_le_bytes());
    record
}

/// The checksum as records have it: rotated by 15 bits, plus a constant
/// (`tensorflow/core/lib/hash/crc32c.h`).
fn masked_checksum(data: &[u8]) -> u32 {
    CRC.checksum(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a file, whose checksums are right.
    fn events(bytes: &[u8]) -> Vec<Event> {
        let mut rest = bytes;
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length: [u8; 8] = rest[..8].try_into().expect("eight bytes");
            let end = 12 + u64::from_le_bytes(length) as usize;
            assert_eq!(rest[..end + 4], record(&rest[12..end]));
            events.push(Event::decode(&rest[12..end]).expect("an event"));
            rest = &rest[end + 4..];
        }
        events
    }

    /// The checksum of the length 8 and of eight zeros, as TensorFlow writes them.
    #[test]
    fn checksums_are_masked() {
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
        assert_eq!(
            masked_checksum(b"123456789"),
            0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8)
        );
    }

    #[test]
    fn files_have_what_was_added() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("runs/one");
        let mut writer = EventWriter::create(&path, 3).expect("created");
        writer
            .scalars(4, &[("loss", 1.5), ("rate", 0.1)])
            .expect("written");
        writer.text(5, "sample", "the cat").expect("written");
        writer
            .histogram(6, "weights", &[1.0, f32::NAN, 3.0])
            .expect("written");
        writer.histogram(7, "weights", &[]).expect("nothing");
        let events = events(&fs::read(&writer.path).expect("the file"));
        assert_eq!(
            events.iter().map(|event| event.step).collect::<Vec<_>>(),
            [0, 3, 4, 5, 6]
        );
        assert_eq!(events[0].file_version.as_deref(), Some(FILE_VERSION));
        assert_eq!(
            events[1].session_log,
            Some(SessionLog {
                status: SessionLog::START
            })
        );
        let values = |event: &Event| event.summary.clone().expect("a summary").values;
        assert_eq!(values(&events[2])[1].simple_value, Some(0.1));
        let text = values(&events[3])[0].tensor.clone().expect("a text");
        assert_eq!(text.strings, [b"the cat"]);
        let histogram = values(&events[4])[0].histogram.clone();
        assert_eq!(histogram.expect("a histogram").number, 2.0);
        assert!(events.iter().all(|event| event.wall_time > 1e9));
    }

    #[test]
    fn runs_of_the_same_second_have_files_of_their_own() {
        let directory = tempfile::tempdir().expect("a directory");
        for _ in 0..3 {
            EventWriter::create(directory.path(), 0).expect("created");
        }
        let files = fs::read_dir(directory.path()).expect("a directory");
        assert_eq!(files.count(), 3);
    }
}

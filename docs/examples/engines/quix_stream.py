"""Predictions for the readings of a Kafka topic, with Quix Streams.

    python quix_stream.py model.edgernn --broker host:9092

Start as many processes as you need, up to the number of partitions; each takes some of them.
A message is a JSON object, or a list of them: {"key": "pump/3", "sequence": 7, "flow": 0.4}. Every
prediction comes at least once; the consumer leaves out pairs of key and sequence that it has.
"""

import argparse

from quixstreams import Application
from quixstreams.models import TopicConfig

from edgernn.engines.quix import predict

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("model")
options.add_argument("--broker", default="localhost:9092")
options.add_argument("--readings", default="readings", help="topic to read")
options.add_argument("--predictions", default="predictions", help="topic to write")
options.add_argument("--partitions", type=int, default=8, help="of topics that do not exist yet")
options.add_argument("--state", default="state", help="folder, of each process its own")
options.add_argument("--migrate", action="store_true", help="continue states of the model before")
args = options.parse_args()

app = Application(
    broker_address=args.broker,
    consumer_group="edgernn",
    auto_offset_reset="earliest",
    commit_interval=1.0,  # seconds; what comes again after a crash
    consumer_extra_config={"session.timeout.ms": 10_000},  # a dead process is replaced then
    state_dir=args.state,
    processing_guarantee="at-least-once",
)
week = {"retention.ms": str(7 * 24 * 3600 * 1000), "retention.bytes": "-1"}
config = TopicConfig(num_partitions=args.partitions, replication_factor=1, extra_config=week)
readings = app.topic(args.readings, config=config)
predictions = app.topic(args.predictions, config=config)

predict(app.dataframe(readings), args.model, migrate=args.migrate).to_topic(predictions)
app.run()

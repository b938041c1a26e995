"""Predictions for CSV files that arrive in a folder, each reading exactly once, with Spark 4.

    python spark_stream.py model.edgernn readings/ predictions/ --master spark://host:7077

The files have the columns key, sequence and one per input channel of the model. Predictions are
Parquet files; read them with Spark, which leaves out files of batches that did not finish.
"""

import argparse

from pyspark.sql import SparkSession

import edgernn
from edgernn.engines.spark import predict

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("model")
options.add_argument("readings")
options.add_argument("predictions")
options.add_argument("--master", default="local[2]")
options.add_argument("--shards", type=int, default=16, help="never change it for a checkpoint")
options.add_argument("--migrate", action="store_true", help="continue states of the model before")
options.add_argument("--once", action="store_true", help="end when all files are done")
args = options.parse_args()

spark = (
    SparkSession.builder.master(args.master)
    .appName("edgernn")
    .config("spark.sql.shuffle.partitions", 4)
    .config(
        "spark.sql.streaming.stateStore.providerClass",
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
    )
    .getOrCreate()
)
channels = [f"`{name}` DOUBLE" for name in edgernn.load(args.model).interface.input.names]
schema = ", ".join(["key STRING", "sequence LONG", *channels])
readings = (
    spark.readStream.schema(schema).options(header=True, maxFilesPerTrigger=1).csv(args.readings)
)
predictions = predict(readings, args.model, shards=args.shards, migrate=args.migrate)
writer = predictions.writeStream.format("parquet").option(
    "checkpointLocation", f"{args.predictions}/_checkpoint"
)
trigger = {"availableNow": True} if args.once else {"processingTime": "0 seconds"}
writer.trigger(**trigger).start(args.predictions).awaitTermination()

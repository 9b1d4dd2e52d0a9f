package peer;

import java.util.Map;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.streams.processor.internals.DefaultKafkaClientSupplier;

/**
 * Gives each stream thread a consumer that writes the thread's flagged rows before it commits offsets:
 * at every commit, also those of a rebalance and of the end.
 */
final class RowsFirst extends DefaultKafkaClientSupplier {
    private final Progress progress;

    RowsFirst(Progress progress) {
        this.progress = progress;
    }

    @Override
    public Consumer<byte[], byte[]> getConsumer(Map<String, Object> config) {
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer()) {
            @Override
            public void commitSync(Map<TopicPartition, OffsetAndMetadata> offsets) {
                FlaggedRows.ofThisThread().write();
                super.commitSync(offsets);
                progress.committed();
            }
        };
    }
}

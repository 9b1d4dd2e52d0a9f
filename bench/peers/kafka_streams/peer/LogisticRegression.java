package peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** The coefficients that all peers use; which threshold applies is told apart from them. */
record LogisticRegression(List<String> features, double[] coefficients, double intercept, double threshold) {

    static LogisticRegression read(Path file) throws IOException {
        return new ObjectMapper().readValue(file.toFile(), LogisticRegression.class);
    }

    double probability(double[] values) {
        double logOdds = intercept;
        for (int i = 0; i < coefficients.length; i++) {
            logOdds += coefficients[i] * values[i];
        }
        return 1 / (1 + Math.exp(-logOdds));
    }
}

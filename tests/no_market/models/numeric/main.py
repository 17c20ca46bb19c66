from tests.no_market.guesser import Guesser


class Numeric(Guesser):
    def predict(self, question):
        assert question.startswith("Will the") and self.data["words"]
        return {"value": 0.5}

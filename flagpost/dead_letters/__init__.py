"""Dead letters as operators deal with them: listed, shown, sent again."""

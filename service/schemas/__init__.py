"""The JSON of every answer: field names are the API's."""

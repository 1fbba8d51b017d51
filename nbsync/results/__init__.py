"""What commands give back: data, JSON, frames."""
